# Models by name (host/hub): where they lie on this machine, and, with libcurl and nettle, from where they come.
add_library(f5hub OBJECT host/hub/hub_place.c host/hub/hub_cache.c host/hub/hub_answer.c host/hub/model_names.c
            host/hub/model_sources.c)
target_link_libraries(f5hub PUBLIC f5_options)
target_compile_definitions(f5hub PRIVATE F5_HAVE_JANSSON=$<BOOL:${JANSSON_FOUND}>)
if(JANSSON_FOUND) # names the licence of what is fetched
    target_link_libraries(f5hub PUBLIC PkgConfig::JANSSON)
endif()
# libcurl's headers alone: it is loaded when something is fetched
pkg_check_modules(F5_CURL libcurl>=7.85)
pkg_check_modules(F5_NETTLE IMPORTED_TARGET nettle)
if(F5_CURL_FOUND AND F5_NETTLE_FOUND)
    target_sources(f5hub PRIVATE host/hub/hub_client.c host/hub/hub_curl.c host/hub/hub_digest.c host/hub/hub_pull.c)
    target_include_directories(f5hub PRIVATE ${F5_CURL_INCLUDE_DIRS})
    target_link_libraries(f5hub PUBLIC PkgConfig::F5_NETTLE ${CMAKE_DL_LIBS})
    target_compile_definitions(f5hub PUBLIC F5_HAVE_HUB=1)
else()
    message(STATUS "f5tts pull: not built (needs libcurl4-gnutls-dev nettle-dev)")
    target_compile_definitions(f5hub PUBLIC F5_HAVE_HUB=0)
endif()
