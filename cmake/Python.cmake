# The Python package (host/python) holds what is installed, and two libraries more: the ops for f5tts.ops, and what reads
# and writes files for recordings and pictures. `cmake --install` leaves them out unless the component `python` is asked
# for, as host/python/backend.py does.
add_library(f5tts_ops SHARED)
target_link_libraries(f5tts_ops PRIVATE f5ops)
set(f5_python_libraries f5tts_ops)
set(f5tts_ops_map cmake/f5tts_ops.map)
if(TARGET f5files)
    add_library(f5tts_files SHARED)
    target_link_libraries(f5tts_files PRIVATE f5files f5tts_shared)
    target_sources(f5tts_files PRIVATE kernels/error.c)
    set(f5tts_files_map cmake/f5tts_files.map)
    list(APPEND f5_python_libraries f5tts_files)
endif()
foreach(library IN LISTS f5_python_libraries)
    set(map ${CMAKE_SOURCE_DIR}/${${library}_map})
    target_sources(${library} PRIVATE host/python/library_version.c)
    target_compile_definitions(${library} PRIVATE F5_VERSION="${PROJECT_VERSION}")
    # these lie side by side with what they need
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C LINK_DEPENDS ${map} BUILD_WITH_INSTALL_RPATH ON
                          INSTALL_RPATH "$ORIGIN")
    target_link_options(${library} PRIVATE -Wl,--version-script=${map} -Wl,--no-undefined)
    install(TARGETS ${library} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT python EXCLUDE_FROM_ALL)
endforeach()
