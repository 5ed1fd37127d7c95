# make install: library with soname, header, find_package(f5tts) and pkg-config.
# The installed header is one file: what it includes stands in the place of the include.
file(READ host/api/f5tts.h f5_public_header)
foreach(included kernels/f5_status.h host/api/f5tts_speech.h host/api/f5tts_files.h)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS host/api/f5tts.h ${included})
    file(READ ${included} f5_included)
    string(REPLACE "#include \"${included}\"\n" "${f5_included}" f5_public_header "${f5_public_header}")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/include/f5tts.h CONTENT "${f5_public_header}" @ONLY)
install(TARGETS f5tts_shared EXPORT f5ttsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_BINARY_DIR}/include/f5tts.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT f5ttsTargets NAMESPACE f5tts:: FILE f5ttsTargets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/f5tts)
file(WRITE ${CMAKE_BINARY_DIR}/f5ttsConfig.cmake "include(\"\${CMAKE_CURRENT_LIST_DIR}/f5ttsTargets.cmake\")\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/f5ttsConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/f5ttsConfig.cmake ${CMAKE_BINARY_DIR}/f5ttsConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/f5tts)
# the .pc file finds its prefix from where it lies, so that any `cmake --install --prefix` works
file(RELATIVE_PATH F5_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/f5tts.pc.in ${CMAKE_BINARY_DIR}/f5tts.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/f5tts.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
