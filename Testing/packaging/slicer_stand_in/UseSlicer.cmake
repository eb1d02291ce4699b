# Like Slicer's macro, this copies each listed file, with its folders, below the build tree's module folder and then installs that
# folder. So a file that is not listed is not installed, one that does not exist is an error, and one that is listed through
# "../" lands beside the folder: it builds, and is not installed.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_SUBDIR;WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS OR NOT MODULE_NAME OR NOT MODULE_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: no NAME, no SCRIPTS, or unknown: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()

  set(folder ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
  set(installed ${folder}/) # the slash: what is in the folder, not the folder
  if(MODULE_WITH_SUBDIR)
    get_filename_component(subdir ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(folder ${folder}/${subdir})
    set(installed ${folder})
  endif()

  set(scripts)
  foreach(script IN LISTS MODULE_SCRIPTS)
    if(NOT script MATCHES "\\.py$")
      string(APPEND script .py)
    endif()
    list(APPEND scripts ${script})
  endforeach()

  foreach(file IN LISTS scripts MODULE_RESOURCES)
    if(IS_ABSOLUTE ${file} OR NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "${MODULE_NAME} lists '${file}', which is no file in ${CMAKE_CURRENT_SOURCE_DIR}")
    endif()
    configure_file(${CMAKE_CURRENT_SOURCE_DIR}/${file} ${folder}/${file} COPYONLY)
  endforeach()
  install(DIRECTORY ${installed} DESTINATION ${Slicer_QTSCRIPTEDMODULES_LIB_DIR} USE_SOURCE_PERMISSIONS)
endfunction()

# Slicer runs the script's test class in itself; here its file has to exist.
function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "SCRIPT" "" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT})
    message(FATAL_ERROR "slicer_add_python_unittest: there is no ${TEST_SCRIPT} in ${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
endfunction()
