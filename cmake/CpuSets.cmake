# The CPU backend for more than the plain instruction set of the architecture: the ops and what they share are compiled
# once more for each set, and kernels/cpu/context.c chooses at open. Everything else is compiled for any CPU.
# In such a copy every public function has the set's name at its end (linear_ref_avx2), which the preprocessor sees to:
# the sources know nothing of it. Who adds a public function to one of these files and not here is told by the linker.
set(f5_cpu_helpers cpu_op_table gemm_tile fft_table_fill fft_real fft_real_inverse rope_table_fill position_table_fill
    mel_bank_fill mel_bank_fill_slaney hann_window_fill philox4x32_10)

function(f5_cpu_set name)
    add_library(f5cpu_${name} OBJECT ${cpu_sources})
    target_link_libraries(f5cpu_${name} PRIVATE f5_options)
    target_compile_options(f5cpu_${name} PRIVATE ${ARGN})
    foreach(op IN LISTS F5_OPS)
        foreach(part ref output flop bytes)
            target_compile_definitions(f5cpu_${name} PRIVATE ${op}_${part}=${op}_${part}_${name})
        endforeach()
    endforeach()
    foreach(helper IN LISTS f5_cpu_helpers)
        target_compile_definitions(f5cpu_${name} PRIVATE ${helper}=${helper}_${name})
    endforeach()
    target_sources(f5ops INTERFACE $<TARGET_OBJECTS:f5cpu_${name}>)
endfunction()

# What is compiled with here is what context.c asks the CPU for.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    f5_cpu_set(avx2 -mavx2 -mfma)
    f5_cpu_set(avx512 -mavx2 -mfma -mavx512f -mavx512cd -mavx512bw -mavx512dq -mavx512vl)
    target_compile_definitions(f5kernels PRIVATE F5_CPU_X86_SETS)
endif()
