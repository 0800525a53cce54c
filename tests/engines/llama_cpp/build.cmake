# For the build of llama-cpp-python, in a quarter of its time: without the library that its package
# never loads, with the headers that llama.cpp's 150 models share compiled once, and with little
# optimization of what builds their graphs. The kernels, in ggml, keep theirs.
set(LLAMA_BUILD_COMMON OFF)
function(shorten)
    set(headers "${CMAKE_SOURCE_DIR}/vendor/llama.cpp/src/models/models.h")
    target_precompile_headers(llama PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${headers}>")
    target_compile_options(llama PRIVATE -O1)
endfunction()
# Once the build has defined its targets.
cmake_language(DEFER CALL shorten)
