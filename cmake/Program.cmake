# The program `f5tts` needs libraries that the core does not: libsndfile, libyaml, libpng.
# Without them the library, the op tests and the bench still build.
find_package(PkgConfig)
if(PkgConfig_FOUND)
    pkg_check_modules(F5_PROGRAM IMPORTED_TARGET sndfile yaml-0.1 libpng)
endif()
if(F5_PROGRAM_FOUND)
    add_library(f5files OBJECT host/files/output_file.c host/files/output_path.c host/files/output_litter.c
                host/files/sound_file.c host/files/audio_read.c
                host/files/audio_header.c host/files/audio_stream.c host/files/audio_av.c
                host/files/mel_png.c host/files/npy.c host/files/yaml_tree.c host/files/text_file.c
                host/files/toml.c host/files/toml_scan.c host/files/json_text.c host/files/subtitles.c
                host/files/subtitle_lines.c host/files/list_file.c
                host/files/sound_format.c host/files/sound_encoder.c host/files/sound_aac.c
                host/files/stream_resampler.c)
    target_link_libraries(f5files PUBLIC f5_options PkgConfig::F5_PROGRAM)
    target_compile_definitions(f5files INTERFACE F5_HAVE_FILES=1)
    # lists of JSON lines; without it lists are tab-separated
    pkg_check_modules(JANSSON IMPORTED_TARGET jansson)
    if(JANSSON_FOUND)
        target_link_libraries(f5files PUBLIC PkgConfig::JANSSON)
    endif()
    # recordings that libsndfile does not read: FFmpeg's headers alone, its libraries are loaded when a file needs them
    pkg_check_modules(F5_AV libavformat>=59.27 libavcodec>=59.37 libavutil>=57.28)
    if(F5_AV_FOUND)
        target_include_directories(f5files PRIVATE ${F5_AV_INCLUDE_DIRS})
        target_link_libraries(f5files PUBLIC ${CMAKE_DL_LIBS})
    else()
        message(STATUS "FFmpeg: not used (needs libavformat-dev): m4a, aac, webm, mp4, wma, amr are not read")
    endif()
    target_compile_definitions(f5files PRIVATE F5_HAVE_AV=$<BOOL:${F5_AV_FOUND}>)
    target_compile_definitions(f5files PRIVATE F5_HAVE_JANSSON=$<BOOL:${JANSSON_FOUND}>)
    include(cmake/Hub.cmake)
    include(cmake/Phonemes.cmake)
    add_executable(f5tts host/program/main.c host/program/cmd_infer.c host/program/cmd_batch.c
                   host/program/cmd_edit.c host/program/cmd_check_voice.c host/program/cmd_tune.c
                   host/program/tune_trial.c host/program/card_energy.c host/program/batch_line.c host/program/batch_plan.c
                   host/program/voice_cache.c host/program/cmd_convert.c host/program/convert_files.c host/program/convert_calibrated.c
                   host/program/model_file.c host/program/model_make.c host/program/cmd_pull.c host/program/cmd_models.c
                   host/program/cmd_info.c host/program/cmd_serve.c host/program/cmd_triton_repo.c
                   host/program/triton_repository.c host/program/plan_table.c host/program/model_settings.c
                   host/program/cli.c host/program/cli_say.c host/program/cli_help.c host/program/cli_man.c
                   host/program/cli_complete.c host/program/interruption.c host/program/run_program.c
                   host/program/shell_words.c host/program/heard_words.c host/program/transcript_cache.c host/program/transcribe.c
                   host/program/cmd_completion.c host/program/commands.c host/program/shipped.c host/program/command_options.c
                   host/program/config_file.c host/program/speech_options.c host/program/speech_output.c host/program/speech_chunks.c
                   host/program/speech_subtitles.c host/program/speech_level.c host/program/speech_ipa.c
                   host/program/speech_progress.c host/program/speech_voices.c host/program/voice_files.c
                   kernels/error.c)
    # a client of the library like any other: f5tts.h is all that it knows, libf5tts all that it links
    target_link_libraries(f5tts PRIVATE f5files f5hub f5phonemes f5tts_shared PkgConfig::F5_PROGRAM)
    include(cmake/Server.cmake)
    file(RELATIVE_PATH f5_library_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    # in the build folder bin and lib lie side by side, as they do where they are installed but for lib's name
    set(f5_rpath "$ORIGIN/../lib" "$ORIGIN/${f5_library_from_program}")
    list(REMOVE_DUPLICATES f5_rpath)
    set_target_properties(f5tts PROPERTIES INSTALL_RPATH "${f5_rpath}" BUILD_WITH_INSTALL_RPATH ON)
    install(TARGETS f5tts RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    # what is shipped lies as far from the program in the build folder as where it is installed
    file(RELATIVE_PATH f5_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/f5tts)
    cmake_path(ABSOLUTE_PATH f5_from_program BASE_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} NORMALIZE
               OUTPUT_VARIABLE f5_beside_program)
    cmake_path(IS_PREFIX CMAKE_BINARY_DIR ${f5_beside_program} NORMALIZE f5_beside_is_ours)
    if(f5_beside_is_ours)
        file(MAKE_DIRECTORY ${f5_beside_program})
        # relative links: source and build may be moved together, or be seen under another name in a container
        file(REAL_PATH ${f5_beside_program} f5_link_from)
        foreach(folder voices text)
            file(REAL_PATH ${CMAKE_SOURCE_DIR}/weights/${folder} f5_link_to)
            file(RELATIVE_PATH f5_link_to ${f5_link_from} ${f5_link_to})
            file(CREATE_LINK ${f5_link_to} ${f5_beside_program}/${folder} SYMBOLIC)
        endforeach()
    else()
        message(STATUS "shipped files: found by the installed program only (their folder would lie outside of the build)")
    endif()
    target_compile_definitions(f5tts PRIVATE F5_SHIPPED_FROM_PROGRAM="${f5_from_program}"
                               F5_SHIPPED_INSTALLED="${CMAKE_INSTALL_FULL_DATADIR}/f5tts")
    install(DIRECTORY weights/voices/ DESTINATION ${CMAKE_INSTALL_DATADIR}/f5tts/voices
            FILES_MATCHING PATTERN *.f5 PATTERN *.wav PATTERN *.txt PATTERN README.md)
    install(FILES weights/text/pinyin.bin weights/text/vocab.txt weights/text/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/f5tts/text)
    include(cmake/Help.cmake)
else()
    message(STATUS "program f5tts: not built (needs libsndfile1-dev libyaml-dev libpng-dev)")
endif()
