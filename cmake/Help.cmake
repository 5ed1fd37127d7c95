# Manual pages and the completion of shells. The program prints them, from the tables by which it parses its options, so
# that they are made after it, for its version, and cannot say anything else. They lie in build/share as where they are
# installed: with build/bin in PATH `man f5tts` finds them.
set(f5_man ${CMAKE_BINARY_DIR}/share/man/man1)
set(f5_made ${f5_man}/f5tts.1)
# leaks are not looked for: a build with sanitizers may run where that is not allowed
set(f5_run COMMAND ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 $<TARGET_FILE:f5tts>)
set(f5_make_help ${f5_run} help --man > ${f5_man}/f5tts.1)
file(READ host/program/commands.c f5_commands)
string(REGEX MATCHALL "{\"[a-z-]+\", cmd_" f5_commands "${f5_commands}")
foreach(command IN LISTS f5_commands)
    string(REGEX REPLACE "{\"([a-z-]+)\".*" "\\1" command "${command}")
    list(APPEND f5_make_help ${f5_run} help --man ${command} > ${f5_man}/f5tts-${command}.1)
    list(APPEND f5_made ${f5_man}/f5tts-${command}.1)
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS host/program/commands.c)
set(f5_bash ${CMAKE_BINARY_DIR}/share/bash-completion/completions)
set(f5_zsh ${CMAKE_BINARY_DIR}/share/zsh/site-functions)
set(f5_fish ${CMAKE_BINARY_DIR}/share/fish/vendor_completions.d)
file(MAKE_DIRECTORY ${f5_man} ${f5_bash} ${f5_zsh} ${f5_fish})
add_custom_command(OUTPUT ${f5_made} ${f5_bash}/f5tts ${f5_zsh}/_f5tts ${f5_fish}/f5tts.fish
    ${f5_make_help}
    ${f5_run} completion bash > ${f5_bash}/f5tts
    ${f5_run} completion zsh > ${f5_zsh}/_f5tts
    ${f5_run} completion fish > ${f5_fish}/f5tts.fish
    DEPENDS f5tts VERBATIM COMMENT "Manual pages and completion")
add_custom_target(f5tts_help ALL DEPENDS ${f5_made})
install(FILES ${f5_made} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${f5_bash}/f5tts DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${f5_zsh}/_f5tts DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${f5_fish}/f5tts.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
