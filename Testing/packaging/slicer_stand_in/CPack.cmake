# Slicer writes the extension's description here. The tests read what CMake made of it: one NAME=value a line.
set(description "PROJECT=${PROJECT_NAME}\n")
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  string(APPEND description "${name}=${EXTENSION_${name}}\n")
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/description.txt "${description}")
