# migd_add_plugin(NAME SOURCES file... [LIBRARIES target...] [DESTINATION dir])
#
# Builds the module NAME.so: C11 (or C++17), nothing visible but the entry, no undefined symbols, with
# a build id. LIBRARIES are linked privately. With DESTINATION it is installed there.
function(migd_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESTINATION" "SOURCES;LIBRARIES")
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "migd_add_plugin(${name}): SOURCES are missing")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "migd_add_plugin(${name}): unknown argument ${arg_UNPARSED_ARGUMENTS}")
  endif()

  add_library(${name} MODULE ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE migd::plugin-api ${arg_LIBRARIES})
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  if(NOT CMAKE_C_STANDARD)
    set_target_properties(${name} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON)
  endif()
  if(NOT CMAKE_CXX_STANDARD)
    set_target_properties(${name} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
  endif()
  target_link_options(${name} PRIVATE -Wl,--build-id=sha1)
  # A module is whole in itself. Sanitizers leave their symbols to the program.
  if(NOT "${CMAKE_C_FLAGS} ${CMAKE_MODULE_LINKER_FLAGS}" MATCHES "-fsanitize")
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(arg_DESTINATION)
    install(TARGETS ${name} LIBRARY DESTINATION "${arg_DESTINATION}")
  endif()
endfunction()
