//VTK::System::Dec
// The light that a point of the wall sends to the lens. Lengths in mm, light linear until the last line.
//VTK::Output::Dec

in vec3 place;
in vec3 facing;
in vec3 seenFrom;
//VTK::CustomUniforms::Dec

uniform mat3 normalMatrix;
const float GRAZING = 0.2;
// FEATURES

#if PATTERN
uniform sampler2D pattern;
#endif
#if RIPPLES
uniform sampler2D ripples;
#endif

void main()
{
  vec3 outwards = normalize(facing);
  vec3 inwards = normalMatrix * (gl_FrontFacing ? outwards : -outwards);
  vec3 toLens = -normalize(seenFrom);
  // At the rim of a fold the normal, interpolated, may turn away from the lens though the wall is seen: drawn as it is
  // it would be a dotted black outline of the folds.
  float turned = dot(inwards, toLens);
  inwards = normalize(inwards + max(GRAZING - turned, 0.0) * toLens);

  // Pictures are laid on the wall from three sides, each where it faces that side.
  vec3 side = pow(abs(outwards), vec3(4.0));
  side /= side.x + side.y + side.z;

  // How far away a pixel's detail is too fine to be drawn without flicker: 0 near, 1 afar; mm of wall in a pixel.
  float afar = smoothstep(0.1, 0.35, length(fwidth(place)) * 0.6);

  vec3 tissue = colour;
#if PATTERN
  vec3 tile = place / textureSize;
  vec4 found = side.x * texture(pattern, tile.yz) + side.y * texture(pattern, tile.zx + 0.37)
             + side.z * texture(pattern, tile.xy + 0.71);
  tissue = mix(tissue, patchColour, clamp(0.5 + patches * 2.0 * (found.b - 0.5), 0.0, 1.0));
  tissue *= mix(vec3(1.0), deepVesselColour, vessels * found.g);
  tissue *= mix(vec3(1.0), vesselColour, vessels * mix(found.r, found.a, afar));
#endif

  vec3 film = inwards;
#if RIPPLES
  vec3 wave = place / bumpSize;
  vec4 x = texture(ripples, wave.yz);
  vec4 y = texture(ripples, wave.zx + 0.37);
  vec4 z = texture(ripples, wave.xy + 0.71);
  vec3 fine = side.x * vec3(0.5, x.rg) + side.y * vec3(y.g, 0.5, y.r) + side.z * vec3(z.rg, 0.5);
  vec3 broad = side.x * vec3(0.5, x.ba) + side.y * vec3(y.a, 0.5, y.b) + side.z * vec3(z.ba, 0.5);
  vec3 slope = mix(fine, broad, afar) - 0.5;
  film = normalize(inwards + bumps * (normalMatrix * slope));
#endif

  vec3 seen = vec3(0.0);
  for (int i = 0; i < LIGHTS; i++)
  {
    vec3 toLight = vec3(lightApart * float(1 - 2 * i), 0.0, 0.0) - seenFrom;
    float away = length(toLight);
    toLight /= away;
    float reach = away / lightReach;
    float strength = 1.0 / (lightFloor + reach * reach) / float(LIGHTS);
    vec3 diffuse = max((dot(inwards, toLight) + wrap) / (1.0 + wrap), 0.0);
    float mirror = max(dot(film, normalize(toLight + toLens)), 0.0);
    seen += strength * (tissue * (diffuse + ambient) + shine * (1.0 - 0.8 * afar) * pow(mirror, gloss));
  }
  gl_FragData[0] = vec4(pow(clamp(seen / brightest, 0.0, 1.0), vec3(gamma)), 1.0);
}
