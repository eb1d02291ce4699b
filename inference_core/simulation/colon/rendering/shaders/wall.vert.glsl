//VTK::System::Dec
// What both passes need of a corner of the wall: where it is, which way it faces, how much of a fold it is.
//VTK::Output::Dec

in vec4 vertexMC;
in vec3 normalMC;
in float fold;

uniform mat4 MCDCMatrix;
uniform mat4 MCVCMatrix;

out vec3 place;      // mm, in the mesh's frame
out vec3 facing;     // normal in the mesh's frame
out vec3 seenFrom;   // mm, in the camera's frame (VTK's: y up, z backwards)
out float foldScore;

void main()
{
  place = vertexMC.xyz;
  facing = normalMC;
  foldScore = fold;
  seenFrom = (MCVCMatrix * vertexMC).xyz;
  gl_Position = MCDCMatrix * vertexMC;
}
