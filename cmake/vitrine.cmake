# One CMake target a folder. `vitrine_library(devices DEPENDS base memory)` makes, from the folder's
# sources, the library vitrine_devices (every *.cc that is not a test) and the test program
# devices_test (every *_test.cc). The DEPENDS lists are the dependency rules of ARCHITECTURE.md: a folder
# can include only what it names; scripts/check-includes holds the same rules for headers.

# GCC 12's array-bounds, stringop and restrict warnings report accesses in the standard library that cannot happen.
set(VITRINE_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror -Wno-array-bounds
                     -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict
                     $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>
                     # Clang sees into the headers of GCC's library.
                     $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)

add_library(vitrine_options INTERFACE)
target_include_directories(vitrine_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(vitrine_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${VITRINE_WARNINGS}>)
if(VITRINE_SANITIZE)
  # With a sanitizer's code in between, GCC takes parts of a variant that are not there for uninitialised ones.
  target_compile_options(vitrine_options INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
endif()
if(VITRINE_SANITIZE STREQUAL "thread")
  target_compile_options(vitrine_options INTERFACE -fsanitize=thread)
  target_link_options(vitrine_options INTERFACE -fsanitize=thread)
elseif(VITRINE_SANITIZE)
  target_compile_options(vitrine_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                                   -fno-omit-frame-pointer)
  target_link_options(vitrine_options INTERFACE -fsanitize=address,undefined)
endif()
if(VITRINE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "VITRINE_FUZZ needs Clang (libFuzzer); without it the fuzz targets have a driver of their own")
  endif()
  # Coverage for libFuzzer; the fuzz targets link its main program (tests/fuzz).
  target_compile_options(vitrine_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(vitrine_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# fmt without its shared library: src/base/fmt_library.cc is the rest of it.
add_library(vitrine_fmt INTERFACE)
target_compile_definitions(vitrine_fmt INTERFACE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_COMPILE_DEFINITIONS>)
target_include_directories(vitrine_fmt SYSTEM INTERFACE $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)

# `vitrine_static(variable name…)`: the static library of each name where there is one, otherwise the name. A shared
# library costs each start of the program about 0.15 ms.
function(vitrine_static variable)
  set(libraries)
  foreach(name ${ARGN})
    find_library(VITRINE_STATIC_${name} lib${name}.a)
    mark_as_advanced(VITRINE_STATIC_${name})
    if(VITRINE_STATIC_${name})
      list(APPEND libraries ${VITRINE_STATIC_${name}})
    else()
      list(APPEND libraries ${name})
    endif()
  endforeach()
  set(${variable} ${libraries} PARENT_SCOPE)
endfunction()

# All unit test programs, without anything else that is built (scripts/check-sanitizers).
add_custom_target(unit_tests)

function(vitrine_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.S)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(TRANSFORM ARG_DEPENDS PREPEND vitrine_)

  if(sources)
    add_library(vitrine_${name} STATIC ${sources})
    target_link_libraries(vitrine_${name} PUBLIC vitrine_options vitrine_fmt ${ARG_DEPENDS} ${ARG_LINK})
  else()
    add_library(vitrine_${name} INTERFACE)
    target_link_libraries(vitrine_${name} INTERFACE vitrine_options vitrine_fmt ${ARG_DEPENDS} ${ARG_LINK})
  endif()

  if(tests AND BUILD_TESTING)
    add_executable(${name}_test ${tests})
    add_dependencies(unit_tests ${name}_test)
    target_link_libraries(${name}_test PRIVATE vitrine_${name} GTest::gtest GTest::gtest_main GTest::gmock)
    if(VITRINE_SANITIZE)
      # Optimising the checks in a test's own code takes longer than everything else of this build.
      set_source_files_properties(${tests} PROPERTIES COMPILE_OPTIONS -O0)
      # One ctest test a program: to start one with sanitizers takes longer than most of its tests.
      add_test(NAME unit.${name} COMMAND ${name}_test --gtest_brief=1)
      set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 900)
    else()
      include(GoogleTest)
      gtest_discover_tests(${name}_test TEST_PREFIX ${name}. DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
    endif()
  endif()
endfunction()
