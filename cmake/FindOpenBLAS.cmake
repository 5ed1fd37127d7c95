# Finds OpenBLAS for the CPU backend's matrix product. Debian ships one build per threading model; ours calls it from
# inside OpenMP regions, so the OpenMP build is preferred and pinned with an rpath where both are installed.
if(NOT F5_BLAS STREQUAL "none")
    find_library(F5_OPENBLAS_LIBRARY openblas
                 HINTS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp /usr/lib64/openblas-openmp)
    find_path(F5_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas-openmp openblas x86_64-linux-gnu/openblas-openmp
              ${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp ${CMAKE_LIBRARY_ARCHITECTURE})
    if(F5_OPENBLAS_LIBRARY AND F5_CBLAS_INCLUDE)
        target_compile_definitions(f5_options INTERFACE F5_CBLAS=1)
        target_include_directories(f5_options SYSTEM INTERFACE ${F5_CBLAS_INCLUDE})
        target_link_libraries(f5_options INTERFACE ${F5_OPENBLAS_LIBRARY})
        get_filename_component(openblas_dir ${F5_OPENBLAS_LIBRARY} DIRECTORY)
        if(openblas_dir MATCHES "openblas-openmp")
            target_link_options(f5_options INTERFACE -Wl,-rpath,${openblas_dir})
        endif()
        message(STATUS "CPU matrix product: OpenBLAS (${F5_OPENBLAS_LIBRARY})")
    elseif(F5_BLAS STREQUAL "openblas")
        message(FATAL_ERROR "OpenBLAS not found: install libopenblas-openmp-dev, or configure with -DF5_BLAS=none")
    endif()
endif()
if(NOT F5_OPENBLAS_LIBRARY)
    message(STATUS "CPU matrix product: plain C (install libopenblas-openmp-dev for speed)")
endif()
