# The CUDA backend: every op's kernels/NAME.cu, compiled apart (nvcc takes other options than the C compiler) and linked
# into whatever links the core. Without nvcc, or with F5_CUDA=OFF, nothing here has any effect.
# auto builds for the GPU at hand: a machine with a toolkit but no GPU would compile for minutes what it cannot run.
set(F5_CUDA "auto" CACHE STRING "CUDA backend: auto (when there are nvcc and a GPU), ON (for every GPU), OFF")
set_property(CACHE F5_CUDA PROPERTY STRINGS auto ON OFF)
# The last one also carries PTX for what comes later. Hopper's own kernels need the a: 90 alone has no wgmma.
set(F5_CUDA_ARCHITECTURES "80-real;86-real;89-real;90a-real;100-real;120" CACHE STRING
    "GPU architectures to compile for; one of them, say 90a-real, builds several times faster")

set(F5_HAVE_CUDA OFF)
if(F5_CUDA STREQUAL "auto" AND NOT EXISTS /dev/nvidiactl)
    message(STATUS "CUDA backend: off (no GPU here; F5_CUDA=ON builds it all the same)")
elseif(NOT F5_CUDA STREQUAL "OFF")
    include(CheckLanguage)
    set(CMAKE_CUDA_ARCHITECTURES ${F5_CUDA_ARCHITECTURES})
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        enable_language(CUDA)
        find_package(CUDAToolkit 12.4 REQUIRED)
        set(F5_HAVE_CUDA ON)
    elseif(F5_CUDA STREQUAL "auto")
        message(STATUS "CUDA backend: off (no nvcc; set CUDACXX if it is not on the PATH)")
    else()
        message(FATAL_ERROR "F5_CUDA=ON, but nvcc was not found: install the CUDA toolkit or set CUDACXX to its nvcc")
    endif()
endif()

if(F5_HAVE_CUDA)
    set(cuda_sources ${CMAKE_SOURCE_DIR}/kernels/cuda_context.cu)
    foreach(op IN LISTS F5_OPS)
        if(EXISTS ${CMAKE_SOURCE_DIR}/kernels/${op}.cu)
            list(APPEND cuda_sources ${CMAKE_SOURCE_DIR}/kernels/${op}.cu)
        endif()
    endforeach()
    add_library(f5cuda OBJECT ${cuda_sources})
    target_include_directories(f5cuda PRIVATE ${CMAKE_SOURCE_DIR}/kernels ${CUDAToolkit_INCLUDE_DIRS})
    set_target_properties(f5cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF)
    target_compile_options(f5cuda PRIVATE -Xcompiler=-Wall,-Wextra,-fno-exceptions,-fno-rtti
                           $<$<BOOL:${F5_WERROR}>:-Werror=all-warnings>)
    target_compile_definitions(f5_options INTERFACE F5_HAVE_CUDA=1)
    target_sources(f5core INTERFACE $<TARGET_OBJECTS:f5cuda>)
    target_link_libraries(f5core PUBLIC CUDA::cublasLt CUDA::cudart_static)
    message(STATUS "CUDA backend: nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${F5_CUDA_ARCHITECTURES}")
endif()
