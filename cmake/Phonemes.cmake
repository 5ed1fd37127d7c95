# Text becomes phonemes by libespeak-ng, for models that read IPA. Its header alone: the library is loaded when a text
# needs it.
add_library(f5phonemes OBJECT host/phonemes/espeak.c host/phonemes/phonemes.c host/phonemes/phonemes_clean.c)
target_link_libraries(f5phonemes PUBLIC f5_options ${CMAKE_DL_LIBS})
find_path(F5_ESPEAK_INCLUDE espeak-ng/speak_lib.h)
if(F5_ESPEAK_INCLUDE)
    target_include_directories(f5phonemes SYSTEM PRIVATE ${F5_ESPEAK_INCLUDE})
else()
    message(STATUS "libespeak-ng: not used (needs libespeak-ng-dev): models that read phonemes take IPA alone")
endif()
target_compile_definitions(f5phonemes PRIVATE F5_HAVE_ESPEAK=$<BOOL:${F5_ESPEAK_INCLUDE}>)
