# Numbers are spelled by the rules of ICU, which the library takes at open by dlopen (host/text/icu.c): only its headers
# are needed here, and nothing is linked but, on old systems, libdl.
find_package(PkgConfig)
if(PkgConfig_FOUND)
    pkg_check_modules(F5_ICU icu-i18n icu-uc)
endif()
if(F5_ICU_FOUND)
    string(REGEX MATCH "^[0-9]+" f5_icu_major "${F5_ICU_icu-i18n_VERSION}")
    target_compile_definitions(f5core PRIVATE F5_ICU_VERSION=${f5_icu_major})
    target_include_directories(f5core PRIVATE ${F5_ICU_INCLUDE_DIRS})
    target_link_libraries(f5_options INTERFACE ${CMAKE_DL_LIBS})
else()
    message(STATUS "ICU: not found (libicu-dev): texts with numbers cannot be normalised")
endif()
