# make install: library with soname, headers, find_package(f5tts) and pkg-config.
install(TARGETS f5tts_shared EXPORT f5ttsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES host/f5tts.h kernels/f5_status.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
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
