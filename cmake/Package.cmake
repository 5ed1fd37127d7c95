# `cpack` in the build folder: a tarball of what is installed, to be unpacked anywhere. The program finds its library, and the
# backend for Triton too, from where they lie ($ORIGIN); the program's own libraries are the system's.
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME f5tts)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(f5_flavour cpu)
if(F5_HAVE_CUDA)
    set(f5_flavour cuda)
endif()
set(CPACK_PACKAGE_FILE_NAME f5tts-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}-${f5_flavour})
string(TOLOWER ${CPACK_PACKAGE_FILE_NAME} CPACK_PACKAGE_FILE_NAME)
set(CPACK_STRIP_FILES ON)
set(CPACK_SOURCE_GENERATOR "")
include(CPack)
