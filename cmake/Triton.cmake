# libtriton_f5tts.so, a backend of Triton Inference Server. It needs none of Triton's headers or libraries: the server
# that loads it brings the functions that it calls. It is installed as backends/f5tts/libtriton_f5tts.so, which is how the
# server wants a --backend-directory, and finds libf5tts from there or beside itself.
option(F5_TRITON "Build the backend of Triton Inference Server" ON)
if(F5_TRITON)
    set(f5_backends ${CMAKE_INSTALL_LIBDIR}/f5tts/triton-backends)
    file(GLOB triton_sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} host/triton/*.c)
    add_library(triton_f5tts MODULE ${triton_sources} weights/json.c kernels/error.c)
    target_link_libraries(triton_f5tts PRIVATE f5_options f5tts_shared)
    file(RELATIVE_PATH f5_library_from_backend ${CMAKE_INSTALL_FULL_LIBDIR}/f5tts/triton-backends/f5tts
         ${CMAKE_INSTALL_FULL_LIBDIR})
    string(REGEX REPLACE "/$" "" f5_library_from_backend "${f5_library_from_backend}")
    # it stays in the process when its last model is unloaded: a CUDA runtime does not like to go
    target_link_options(triton_f5tts PRIVATE -Wl,-z,nodelete)
    set_target_properties(triton_f5tts PROPERTIES C_VISIBILITY_PRESET hidden
                          LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/f5tts/triton-backends/f5tts
                          INSTALL_RPATH "$ORIGIN;$ORIGIN/${f5_library_from_backend}" BUILD_WITH_INSTALL_RPATH ON)
    install(TARGETS triton_f5tts LIBRARY DESTINATION ${f5_backends}/f5tts)
endif()
