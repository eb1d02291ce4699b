//VTK::System::Dec
// Unlit numbers: red, green and 7 bits of blue are the face's number + 1, the last bit says whether its outer side is
// seen, alpha is the fold score. Nothing but whole 255ths is written, so the 8 bits hold them exactly.
//VTK::Output::Dec

in float foldScore;
//VTK::CustomUniforms::Dec

void main()
{
  int number = gl_PrimitiveID + firstFace + 1;
  int outside = gl_FrontFacing ? 128 : 0;
  // 0 is kept for "no wall"; 128 and above is a score of 0.5 and above.
  float score = floor(clamp(foldScore, 0.0, 1.0) * 254.0) + 1.0;
  gl_FragData[0] = vec4(number & 255, (number >> 8) & 255, ((number >> 16) & 127) | outside, score) / 255.0;
}
