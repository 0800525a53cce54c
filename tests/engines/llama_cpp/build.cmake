# For the build of llama-cpp-python, in a third of its time: without the library that its package
# never loads, and with the headers that llama.cpp's 150 models share compiled once.
set(LLAMA_BUILD_COMMON OFF)
function(precompile_headers)
    set(headers "${CMAKE_SOURCE_DIR}/vendor/llama.cpp/src/models/models.h")
    target_precompile_headers(llama PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${headers}>")
endfunction()
# Once the build has defined its targets.
cmake_language(DEFER CALL precompile_headers)
