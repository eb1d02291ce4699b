# Stands in for Slicer, so that the extension can be configured and installed without it: -DSlicer_DIR=<this folder>.
# Only what the extension's own CMake files call is here, and it takes files along as Slicer's macros do.
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.x/qt-scripted-modules)
