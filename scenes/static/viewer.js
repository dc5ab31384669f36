// The viewer of a scene page: plain WebGL2, no library, no network. Data come as one compressed block of typed arrays; every text of
// the city is put in as text, never as markup. Colours sit in a small texture, one texel per object, so that marking costs nothing.
'use strict';
(() => {
const WORDS = {
  en: { layers: 'Layers', search: 'Search id or name', none: 'nothing found', pick: 'Click an object to read its attributes.', opacity: 'opacity',
    why: 'who says so', chosen: 'chosen', other: 'not chosen', verdicts: 'Checks', value: 'value', limit: 'limit', centre: 'at the centre', reset: 'reset view',
    noValue: 'no value', position: 'position', ground: 'ground height', close: 'close', help: 'drag: turn · right drag or Shift: move · wheel: zoom · arrows, + −, N',
    noGl: 'This page needs WebGL 2; switch on hardware or software 3D in the browser.', pass: 'pass', fail: 'fail', not_assessed: 'not assessed',
    confidence: 'confidence', unsaid: 'source not stated', read: 'read', field: 'field', notDrawn: 'Not drawn as it should be', top: 'from above',
    play: 'play', pause: 'pause', before: 'one time back', after: 'one time on', time: 'time', highest: 'maximum', dry: 'dry', colour: 'Colour by', both: 'also told of it' },
  zh: { layers: '图层', search: '按编号或名称查找', none: '未找到', pick: '点击对象查看属性。', opacity: '不透明度', why: '数据依据', chosen: '采用', other: '未采用',
    verdicts: '检查结果', value: '值', limit: '限值', centre: '画面中心处', reset: '复位', noValue: '无数据', position: '位置', ground: '地面高程', close: '关闭',
    help: '拖动：旋转 · 右键或 Shift 拖动：平移 · 滚轮：缩放 · 方向键、+ −、N', noGl: '此页面需要 WebGL 2，请在浏览器中启用三维绘图。', pass: '符合', fail: '不符合',
    not_assessed: '未评估', confidence: '置信度', unsaid: '未注明来源', read: '读取', field: '字段', notDrawn: '未能完整绘制', top: '俯视',
    play: '播放', pause: '暂停', before: '上一时刻', after: '下一时刻', time: '时间', highest: '最大值', dry: '未淹', colour: '着色', both: '其他图层' },
};
const TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
const $ = id => document.getElementById(id);
const make = (tag, text, name) => { const node = document.createElement(tag); if (text !== undefined) node.textContent = text; if (name) node.className = name; return node; };
const scene = JSON.parse($('scene').textContent);
let language = scene.language === 'zh' || (scene.language === 'both' && navigator.language.startsWith('zh')) ? 'zh' : 'en';
const say = text => !text ? '' : typeof text === 'string' ? text : language === 'zh' ? text.zh || text.en : text.en || text.zh;
const word = name => WORDS[language][name];

async function unpack(id) {
  const text = atob($(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  $(id).remove();
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

// ------------------------------------------------------------------------------------------------ vectors and camera
const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const add = (a, b, s = 1) => [a[0] + b[0] * s, a[1] + b[1] * s, a[2] + b[2] * s];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = a => { const n = Math.hypot(...a) || 1; return [a[0] / n, a[1] / n, a[2] / n]; };

const view = { target: [0, 0, 0], distance: 100, turn: 0, rise: 0.6, angle: scene.camera.view_angle * Math.PI / 180 };
function home() {
  const way = unit(sub(scene.camera.focus, scene.camera.position));
  fit(Math.atan2(way[0], way[1]), Math.asin(Math.min(1, Math.max(-1, -way[2]))));
}
function fit(turn, rise) { // the smallest distance that shows everything, as Camera.fitting finds it
  view.turn = turn; view.rise = rise;
  const { ahead, right, up } = axes(), half = Math.tan(view.angle / 2), aspect = canvas.width / canvas.height, [left, top, far, foot] = scene.camera.inset;
  const seen = scene.camera.hull.map(p => [dot(p, right), dot(p, up), dot(p, ahead)]);
  if (!seen.length) { view.target = [0, 0, 0]; view.distance = 300; return; }
  const depths = seen.map(p => p[2]).sort((a, b) => a - b);
  let depth = depths[0] - 1;
  const cones = [[0, -aspect * (1 - 2 * left) * half, aspect * (1 - 2 * far) * half], [1, (2 * foot - 1) * half, (1 - 2 * top) * half]].map(([axis, low, high]) => {
    const upper = Math.max(...seen.map(p => p[axis] - high * p[2])), lower = Math.min(...seen.map(p => p[axis] - low * p[2]));
    depth = Math.min(depth, (lower - upper) / (high - low));
    return [upper + lower, high + low];
  });
  const [x, y] = cones.map(([sum, slope]) => (sum + slope * depth) / 2), middle = (depths[(depths.length - 1) >> 1] + depths[depths.length >> 1]) / 2;
  view.distance = middle - depth;
  view.target = [0, 1, 2].map(i => right[i] * x + up[i] * y + ahead[i] * middle);
}
function axes() {
  const [s, c, sr, cr] = [Math.sin(view.turn), Math.cos(view.turn), Math.sin(view.rise), Math.cos(view.rise)];
  const ahead = [s * cr, c * cr, -sr], right = [c, -s, 0];
  return { ahead, right, up: cross(right, ahead), eye: add(view.target, ahead, -view.distance) };
}
function matrix({ ahead, right, up, eye }) {
  const [low, high] = scene.bounds;
  let near = Infinity, far = 0;
  for (let i = 0; i < 8; i++) {
    const depth = dot(sub([i & 1 ? low[0] : high[0], i & 2 ? low[1] : high[1], i & 4 ? low[2] : high[2]], eye), ahead);
    near = Math.min(near, depth); far = Math.max(far, depth);
  }
  far = Math.max(far * 1.02, 2); near = Math.max(near * 0.9, far / 4000);
  const f = 1 / Math.tan(view.angle / 2), a = canvas.width / canvas.height, p = (near + far) / (near - far), q = 2 * near * far / (near - far);
  const x = right.map(v => v * f / a), y = up.map(v => v * f);
  return new Float32Array([x[0], y[0], -ahead[0] * p, ahead[0], x[1], y[1], -ahead[1] * p, ahead[1], x[2], y[2], -ahead[2] * p, ahead[2],
    -dot(x, eye), -dot(y, eye), dot(ahead, eye) * p + q, -dot(ahead, eye)]);
}

// ------------------------------------------------------------------------------------------------ drawing
const canvas = $('canvas');
const gl = canvas.getContext('webgl2', { antialias: true, alpha: false, powerPreference: 'high-performance' });
const VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp sampler2D;
uniform mat4 u_view; uniform vec3 u_low, u_span; uniform sampler2D u_colours; uniform bool u_own, u_printed; uniform vec2 u_shift; WATER_FETCH
in vec3 a_position; in uint a_object; in float a_shade; in vec3 a_colour; in vec2 a_uv;
flat out uint v_object; flat out float v_mark; out vec3 v_colour; out vec3 v_world; out vec2 v_uv;
void main() {
  v_world = u_low + u_span * a_position; v_object = a_object;
  if (u_water) v_world.z = surface(v_world);
  vec4 texel = texelFetch(u_colours, ivec2(int(a_object & 2047u), int(a_object >> 11u)), 0);
  v_mark = texel.a; v_uv = a_uv; v_colour = (u_printed ? vec3(1.0) : u_own ? a_colour : texel.rgb) * a_shade * 1.275;
  gl_Position = u_view * vec4(v_world, 1.0); gl_Position.xy += u_shift * gl_Position.w;
}`;
// Water: a byte a cell holds the depth, as cim/scenes/sheet.py writes and reads it; the same sums as there.
const WATER = `uniform bool u_water; uniform highp usampler2D u_sheet, u_bed; uniform vec2 u_corner, u_step, u_bed_range; uniform ivec2 u_size; uniform float u_wet, u_above, u_range;
float value(uint code) { float part = code >= 64u ? float(code - 64u) / 191.0 : float(64u - code) / 63.0; return code >= 64u ? u_range * part * part : -4.0 * part * part; }
uint code(ivec2 cell) { return any(lessThan(cell, ivec2(0))) || any(greaterThanEqual(cell, u_size)) ? 0u : texelFetch(u_sheet, cell, 0).r; }
float surface(vec3 at) { // mean level of the wet cells that touch a corner, never below the ground
  ivec2 first = ivec2(floor((at.xy - u_corner) / u_step + 0.5)) - 1;
  float total = 0.0, count = 0.0;
  for (int k = 0; k < 4; k++) {
    ivec2 cell = first + ivec2(k & 1, k >> 1);
    uint found = code(cell);
    if (found < 64u) continue;
    total += u_bed_range.x + u_bed_range.y * float(texelFetch(u_bed, cell, 0).r) + value(found) + u_wet; count += 1.0;
  }
  return (count > 0.0 ? max(total / count, at.z) : at.z) + u_above;
}
float above(vec2 at) { // depth above the least that is drawn; below zero where it is dry
  vec2 place = (at - u_corner) / u_step; ivec2 own = ivec2(floor(place));
  if (code(own) == 0u) return -1.0;
  vec2 low = floor(place - 0.5), share = place - 0.5 - low;
  float total = 0.0, weight = 0.0;
  for (int k = 0; k < 4; k++) {
    ivec2 o = ivec2(k & 1, k >> 1), cell = clamp(ivec2(low) + o, ivec2(0), u_size - 1);
    uint found = code(cell);
    if (found == 0u) continue;
    float w = (o.x == 1 ? share.x : 1.0 - share.x) * (o.y == 1 ? share.y : 1.0 - share.y);
    total += w * value(found); weight += w;
  }
  return weight > 0.0 ? total / weight : -1.0;
}`;
const FRAGMENT = `#version 300 es
precision highp float; precision highp int;
uniform sampler2D u_image; uniform vec3 u_eye; uniform bool u_lit, u_line, u_same, u_printed; uniform float u_opacity, u_pixel; uniform vec4 u_edge; uniform int u_hover, u_chosen; WATER_FETCH
uniform float u_bounds[6]; uniform vec3 u_shades[6];
flat in uint v_object; flat in float v_mark; in vec3 v_colour; in vec3 v_world; in vec2 v_uv; out vec4 colour;
const vec3 KEY = normalize(vec3(LIGHT_KEY)), FILL = normalize(vec3(LIGHT_FILL));
void main() {
  if (v_mark < 0.1) discard;
  if (u_line) { colour = u_same ? vec4(v_colour, u_edge.a) : u_edge; if (u_same && int(v_object) == u_chosen) colour.rgb = vec3(1.0, 0.78, 0.10); return; }
  vec3 base = v_colour; float clear = 1.0;
  if (u_water) {
    float deep = above(v_world.xy), soft = max(fwidth(deep), 1e-6);
    if (deep < 0.0) discard;
    clear = min(1.0, deep / soft + 0.4); base = u_shades[0];
    for (int k = 1; k < 6; k++) if (deep + u_wet >= u_bounds[k]) base = u_shades[k];
  }
  if (u_printed) base *= texture(u_image, v_uv).rgb;
  if (u_lit) {
    vec3 n = normalize(cross(dFdx(v_world), dFdy(v_world)));
    if (dot(n, u_eye - v_world) < 0.0) n = -n;
    base *= LIGHT_SKY + 0.47 * max(dot(n, KEY), 0.0) + 0.10 * max(dot(n, FILL), 0.0) + 0.15 * max(n.z, 0.0);
  }
  if (v_mark < 0.9 && mod(gl_FragCoord.x + gl_FragCoord.y, 9.0 * u_pixel) < 2.4 * u_pixel) base *= 0.62;
  if (u_water) {} else if (int(v_object) == u_chosen) base = mix(base, vec3(1.0, 0.78, 0.10), 0.65);
  else if (int(v_object) == u_hover) base = mix(base, vec3(1.0), 0.35);
  colour = vec4(base, u_water ? u_opacity * clear : int(v_object) == u_chosen ? 1.0 : u_opacity);
}`;
const NUMBERS = `#version 300 es
precision highp float; precision highp int;
uniform int u_first; flat in uint v_object; flat in float v_mark; in vec3 v_world; out uvec4 answer; WATER_FETCH
void main() { if (v_mark < 0.1 || (u_water && above(v_world.xy) < 0.0)) discard; answer = uvec4(uint(u_first) + v_object, floatBitsToUint(v_world.x), floatBitsToUint(v_world.y), floatBitsToUint(v_world.z)); }`;

function program(fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source.replace('WATER_FETCH', WATER)); gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  ['a_position', 'a_object', 'a_shade', 'a_colour', 'a_uv'].forEach((name, place) => gl.bindAttribLocation(made, place, name));
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const at = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    at[name] = gl.getUniformLocation(made, name);
  }
  return { made, at };
}
const array = (data, name) => { const said = name && data.of[name]; return said ? new TYPES[said.type](data.block, said.at, said.length) : null; };
function attribute(place, values, size, type, normalised) {
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(place);
  if (type === gl.UNSIGNED_INT) gl.vertexAttribIPointer(place, size, type, 0, 0); else gl.vertexAttribPointer(place, size, type, normalised, 0, 0);
}
async function upload(layer, block) {
  const data = { block, of: layer.arrays };
  layer.points = array(data, 'points'); layer.objects = array(data, 'objects'); layer.values = array(data, 'values');
  const triangles = array(data, 'triangles'), edges = array(data, 'edges'), shade = array(data, 'shade'), own = array(data, 'point_colours'), uv = array(data, 'uv');
  layer.vertices = gl.createVertexArray();
  gl.bindVertexArray(layer.vertices);
  attribute(0, layer.points, 3, layer.arrays.points.type === 'u2' ? gl.UNSIGNED_SHORT : gl.FLOAT, layer.arrays.points.type === 'u2');
  if (layer.objects) attribute(1, layer.objects, 1, gl.UNSIGNED_INT); else gl.vertexAttribI4ui(1, 0, 0, 0, 0);
  if (shade) attribute(2, shade, 1, gl.UNSIGNED_BYTE, true);
  if (own) attribute(3, own, 3, gl.UNSIGNED_BYTE, true);
  if (uv) attribute(4, uv, 2, layer.arrays.uv.type === 'u2' ? gl.UNSIGNED_SHORT : gl.FLOAT, layer.arrays.uv.type === 'u2');
  layer.plain = !shade; layer.own = !!own;
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  const both = new Uint32Array(triangles.length + (edges ? edges.length : 0));
  both.set(triangles); if (edges) both.set(edges, triangles.length);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, both, gl.STATIC_DRAW);
  layer.faces = triangles.length; layer.lines = edges ? edges.length : 0;
  gl.bindVertexArray(null);
  const rows = Math.ceil(Math.max(1, layer.count) / 2048), texels = new Uint8Array(rows * 2048 * 4).fill(255);
  texels.set(array(data, 'colours'));
  layer.texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, layer.texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 2048, rows, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
  for (const which of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, which, gl.NEAREST);
  if (layer.motion) (layer.motion.kind === 'states' ? states : water)(layer, data);
  layer.prints_of = await Promise.all(layer.images.map(said => print(new TYPES[said.type](block, said.at, said.length))));
}
function bytes2d(unit, format, kind, type, [width, height], values) { // a texture of whole numbers, read cell by cell
  const made = gl.createTexture();
  gl.activeTexture(unit); gl.bindTexture(gl.TEXTURE_2D, made);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage2D(gl.TEXTURE_2D, 0, format, width, height, 0, kind, type, values);
  for (const which of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, which, gl.NEAREST);
  gl.activeTexture(gl.TEXTURE0);
  return made;
}
function water(layer, data) { // sheets come as differences to the one before
  const { motion } = layer, cells = motion.size[0] * motion.size[1], changes = new Uint8Array(data.block, motion.sheets.at, motion.sheets.length);
  motion.codes = new Uint8Array(changes);
  for (let i = cells; i < changes.length; i++) motion.codes[i] = motion.codes[i - cells] + changes[i];
  motion.bed_of = bytes2d(gl.TEXTURE3, gl.R16UI, gl.RED_INTEGER, gl.UNSIGNED_SHORT, motion.size, new Uint16Array(data.block, motion.bed.at, motion.bed.length));
  motion.sheet_of = bytes2d(gl.TEXTURE2, gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE, motion.size, motion.codes.subarray(0, cells));
  motion.shown = 0;
}
function states(layer, data) { // objects that change their colour: a byte per object and time, as differences to the time before
  const { motion } = layer;
  for (const one of motion.quantities) {
    const changes = new Uint8Array(data.block, one.codes.at, one.codes.length), { count } = layer;
    one.codes = new Uint8Array(changes);
    for (let i = count; i < changes.length; i++) one.codes[i] = one.codes[i - count] + changes[i];
  }
  motion.by = 0; motion.texels = new Uint8Array(Math.ceil(Math.max(1, layer.count) / 2048) * 2048 * 4); motion.shown = 0;
  paint(layer);
}
function paint(layer) { // the colours of the time shown
  const { motion, count } = layer, { codes, palette } = motion.quantities[motion.by], { texels } = motion, first = motion.shown * count;
  for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) texels[4 * i + k] = palette[4 * codes[first + i] + k];
  gl.bindTexture(gl.TEXTURE_2D, layer.texture);
  gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2048, texels.length / 8192, gl.RGBA, gl.UNSIGNED_BYTE, texels);
}
async function print(bytes) { // an image file of the block becomes a texture whose first row is the lowest
  const turned = { imageOrientation: 'flipY', premultiplyAlpha: 'none', colorSpaceConversion: 'none' };
  let image = await createImageBitmap(new Blob([bytes], { type: bytes[0] === 0x89 ? 'image/png' : 'image/jpeg' }), turned);
  const most = gl.getParameter(gl.MAX_TEXTURE_SIZE), share = Math.min(1, most / Math.max(image.width, image.height));
  if (share < 1) image = await createImageBitmap(image, { resizeWidth: Math.floor(image.width * share), resizeHeight: Math.floor(image.height * share) });
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, gl.RGB, gl.UNSIGNED_BYTE, image);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  image.close();
  return texture;
}
function bind(layer, { at }, seen) {
  gl.bindVertexArray(layer.vertices);
  if (!layer.objects) gl.vertexAttribI4ui(1, 0, 0, 0, 0);
  if (layer.plain) gl.vertexAttrib1f(2, 1 / 1.275);
  gl.bindTexture(gl.TEXTURE_2D, layer.texture);
  gl.uniformMatrix4fv(at.u_view, false, seen);
  gl.uniform3fv(at.u_low, layer.low); gl.uniform3fv(at.u_span, layer.span);
  if (at.u_own) gl.uniform1i(at.u_own, layer.own);
  const motion = sheet(layer);
  gl.uniform1i(at.u_water, motion ? 1 : 0); gl.uniform1i(at.u_sheet, 2); gl.uniform1i(at.u_bed, 3);
  gl.activeTexture(gl.TEXTURE2); gl.bindTexture(gl.TEXTURE_2D, motion ? motion.sheet_of : dry);
  gl.activeTexture(gl.TEXTURE3); gl.bindTexture(gl.TEXTURE_2D, motion ? motion.bed_of : dry); gl.activeTexture(gl.TEXTURE0);
  if (!motion) return;
  gl.uniform2fv(at.u_corner, motion.corner); gl.uniform2fv(at.u_step, motion.step); gl.uniform2iv(at.u_size, motion.size);
  gl.uniform2f(at.u_bed_range, motion.bed.low, motion.bed.step);
  gl.uniform1f(at.u_wet, motion.drawn); gl.uniform1f(at.u_above, motion.lift); gl.uniform1f(at.u_range, motion.span);
  if (at['u_bounds[0]']) { gl.uniform1fv(at['u_bounds[0]'], motion.bounds); gl.uniform3fv(at['u_shades[0]'], motion.colours.flat().map(c => c / 255)); }
}
function faces(layer, { at }, first, count) { // image by image: triangles are sorted by it; a layer in parts has none
  let from = 0;
  for (const [image, triangles] of layer.prints) {
    const start = Math.max(first, from), end = Math.min(first + count, from + 3 * triangles);
    from += 3 * triangles;
    if (end <= start) continue;
    gl.uniform1i(at.u_printed, image >= 0); gl.uniform1i(at.u_lit, layer.lit && !(image >= 0 && layer.photographs));
    if (image >= 0) { gl.activeTexture(gl.TEXTURE1); gl.bindTexture(gl.TEXTURE_2D, layer.prints_of[image]); gl.activeTexture(gl.TEXTURE0); gl.uniform1i(at.u_image, 1); }
    gl.drawElements(gl.TRIANGLES, end - start, gl.UNSIGNED_INT, 4 * start);
  }
  gl.uniform1i(at.u_printed, 0);
}
function strokes(layer, { at }) { // lines of some pixels: WebGL draws them one pixel wide, so they are drawn several times, shifted
  const wide = Math.round(layer.edge_width * Math.min(2, window.devicePixelRatio || 1)), span = (wide - 1) / 2;
  for (let i = 0; i < wide; i++) for (let j = 0; j < wide; j++) {
    const x = i - span, y = j - span;
    if (wide > 2 && x * x + y * y > wide * wide / 4) continue;
    gl.uniform2f(at.u_shift, 2 * x / canvas.width, 2 * y / canvas.height);
    gl.drawElements(gl.LINES, layer.lines, gl.UNSIGNED_INT, 4 * layer.faces);
  }
  gl.uniform2f(at.u_shift, 0, 0);
}
const sheet = layer => layer.motion && layer.motion.kind === 'water' ? layer.motion : null;
const isGround = layer => layer.name === 'terrain' || layer.name === 'imagery';
const shown = () => scene.layers.filter(layer => layer.visible && layer.faces && !(layer.motion && layer.motion.shown < 0));
let dry, drawing, numbering, target, dirty = true, hover = null, chosen = null;
const hit = (mark, layer) => mark && mark.row >= 0 && (mark.layer === layer || (layer.overlay && layer.row_of && layer.row_of.has(mark.id)));
const row = (mark, layer) => !hit(mark, layer) ? -1 : mark.layer === layer ? mark.row : layer.row_of.get(mark.id);
function draw() {
  const camera = axes(), seen = matrix(camera);
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.viewport(0, 0, canvas.width, canvas.height);
  gl.clearColor(0.88, 0.91, 0.92, 1); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  sky();
  gl.useProgram(drawing.made); gl.enable(gl.DEPTH_TEST); gl.depthFunc(gl.LEQUAL); gl.enable(gl.POLYGON_OFFSET_FILL);
  const { at } = drawing;
  gl.uniform3fv(at.u_eye, camera.eye); gl.uniform1f(at.u_pixel, window.devicePixelRatio || 1);
  const solid = layer => layer.opacity >= 0.995;
  // layer, first triangle corner, corners, depth offset, lines, steps of depth: verdicts come by severity, so that no pass of one check hides a failure of another
  const whole = layer => [layer, 0, layer.faces, 1 + layer.behind, true], over = shown().filter(l => l.overlay);
  const part = (layer, rank) => {
    if (!layer.parts) return [layer, 0, rank ? 0 : layer.faces, -1, false];
    return [layer, 3 * layer.parts.slice(0, rank).reduce((sum, n) => sum + n, 0), 3 * layer.parts[rank], -1, false, -64 * rank];
  };
  const order = [...shown().filter(l => !l.overlay && solid(l)).map(whole), ...[0, 1, 2].flatMap(rank => over.map(l => part(l, rank))),
    ...over.map(l => [l, 0, 0, 0, true]), ...shown().filter(l => !l.overlay && !solid(l)).map(whole)];
  for (const [layer, first, count, lift, lines, steps = 0] of order) {
    if (!count && !(lines && layer.lines)) continue;
    bind(layer, drawing, seen);
    if (!solid(layer)) { gl.enable(gl.BLEND); gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA); } else gl.disable(gl.BLEND);
    gl.polygonOffset(lift, lift + steps); // the first grows with the slope: metres on ground seen from afar
    gl.uniform1i(at.u_line, 0); gl.uniform1f(at.u_opacity, layer.opacity);
    gl.uniform1i(at.u_hover, row(hover, layer)); gl.uniform1i(at.u_chosen, row(chosen, layer));
    if (count) faces(layer, drawing, first, count);
    if (lines && layer.lines) {
      gl.enable(gl.BLEND); gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
      gl.uniform1i(at.u_line, 1);
      gl.uniform4fv(at.u_edge, [...layer.edge_colour.map(c => c / 255), layer.edge_opacity * layer.opacity]); gl.uniform1i(at.u_same, layer.edge_own);
      gl.depthRange(0, layer.overlay ? 1 - 1e-5 : 1); // lines take no polygon offset: those of overlays lie over their faces
      strokes(layer, drawing);
      gl.depthRange(0, 1);
    }
  }
  gl.disable(gl.BLEND);
  furniture(camera); captions(seen);
}
function captions(seen) { // texts at places, those in front first; what would cover another is left out
  const box = $('labels'), taken = [], found = [];
  for (const layer of shown()) for (const { text, at } of layer.labels) {
    const clip = [0, 1, 3].map(i => seen[i] * at[0] + seen[4 + i] * at[1] + seen[8 + i] * at[2] + seen[12 + i]);
    if (clip[2] > 0) found.push([clip[2], (clip[0] / clip[2] + 1) / 2 * canvas.clientWidth, (1 - clip[1] / clip[2]) / 2 * canvas.clientHeight, say(text)]);
  }
  box.replaceChildren();
  for (const [, x, y, text] of found) {
    const half = 4 * text.length + 8;
    if (x < 0 || y < 0 || x > canvas.clientWidth || y > canvas.clientHeight || taken.some(t => Math.abs(t[0] - x) < t[2] + half && Math.abs(t[1] - y) < 20)) continue;
    taken.push([x, y, half]);
    const node = make('div', text, 'caption');
    node.style.left = `${x + canvas.offsetLeft}px`; node.style.top = `${y}px`; box.append(node);
  }
}
function sky() { // two bands of a gradient, by clearing strips: cheap and needs no shader of its own
  gl.enable(gl.SCISSOR_TEST);
  const strips = 48, [bottom, top] = [[0.957, 0.945, 0.918], [0.788, 0.863, 0.918]];
  for (let i = 0; i < strips; i++) {
    const from = Math.floor(canvas.height * i / strips), t = i / (strips - 1);
    gl.scissor(0, from, canvas.width, Math.ceil(canvas.height / strips) + 1);
    gl.clearColor(...[0, 1, 2].map(c => bottom[c] + (top[c] - bottom[c]) * t), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }
  gl.disable(gl.SCISSOR_TEST);
}

// ------------------------------------------------------------------------------------------------ time
const now = { place: scene.clock && scene.clock.place, playing: false, last: 0 }; // place null: the highest values over all times
function goto(place) {
  const other = (place === null) !== (now.place === null);
  now.place = place === null ? null : Math.max(0, Math.min(scene.clock.labels.length - 1, place));
  for (const layer of scene.layers) {
    const { motion } = layer;
    if (!motion) continue;
    const wanted = now.place === null ? motion.count : motion.at[now.place];
    if (wanted === motion.shown) continue;
    motion.shown = wanted;
    if (wanted < 0) continue;
    if (!sheet(layer)) { paint(layer); continue; }
    const [width, height] = motion.size, cells = width * height;
    gl.activeTexture(gl.TEXTURE2); gl.bindTexture(gl.TEXTURE_2D, motion.sheet_of); gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RED_INTEGER, gl.UNSIGNED_BYTE, motion.codes.subarray(wanted * cells, (wanted + 1) * cells));
    gl.activeTexture(gl.TEXTURE0);
  }
  if (other) panel(); else { timeline(); if (chosen) details(); }
  dirty = true;
}
function timeline() {
  if (!scene.clock) return;
  const { labels, suffix, highest } = scene.clock, text = now.place === null ? say(highest) : `${labels[now.place]} ${say(suffix)}`;
  $('clock').hidden = false; $('time').max = labels.length - 1; $('time').value = now.place === null ? labels.length - 1 : now.place;
  $('time').setAttribute('aria-label', word('time')); $('time').setAttribute('aria-valuetext', text); $('instant').textContent = text;
  $('play').textContent = now.playing ? '⏸' : '▶'; $('play').title = word(now.playing ? 'pause' : 'play'); $('highest').textContent = word('highest');
  $('highest').setAttribute('aria-pressed', now.place === null); $('before').title = word('before'); $('after').title = word('after');
}
function play(on) {
  now.playing = on; now.last = performance.now();
  if (on && (now.place === null || now.place >= scene.clock.labels.length - 1)) goto(0);
  timeline();
}
function tick(time) { // five times a second, and never in less than three seconds in all
  const { length } = scene.clock.labels;
  if (time - now.last < Math.max(200, Math.min(1000, 3000 / length))) return;
  now.last = time;
  if (now.place >= length - 1) play(false); else goto(now.place + 1);
}
function step(by) { play(false); goto((now.place === null ? scene.clock.labels.length - 1 : now.place) + by); }
function depth(motion, x, y) { // the depth drawn at a place, as the shader reads it; null where it is dry
  const [nx, ny] = motion.size, u = (x - motion.corner[0]) / motion.step[0], v = (y - motion.corner[1]) / motion.step[1], first = motion.shown * nx * ny;
  const code = (i, j) => motion.codes[first + Math.max(0, Math.min(ny - 1, j)) * nx + Math.max(0, Math.min(nx - 1, i))];
  if (motion.shown < 0 || u < 0 || v < 0 || u >= nx || v >= ny || !code(Math.floor(u), Math.floor(v))) return null;
  const i = Math.floor(u - 0.5), j = Math.floor(v - 0.5), [s, t] = [u - 0.5 - i, v - 0.5 - j];
  const value = c => c >= 64 ? motion.span * ((c - 64) / 191) ** 2 : -4 * ((64 - c) / 63) ** 2;
  let total = 0, weight = 0;
  for (const [di, dj] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
    const found = code(i + di, j + dj), w = (di ? s : 1 - s) * (dj ? t : 1 - t);
    if (found) { total += w * value(found); weight += w; }
  }
  return weight > 0 && total / weight >= 0 ? total / weight + motion.drawn : null;
}

// ------------------------------------------------------------------------------------------------ picking
function pick(x, y) { // canvas pixels, from the top left; all pickable layers are drawn as numbers into one pixel
  const width = canvas.width, height = canvas.height;
  if (!target || target.width !== width || target.height !== height) {
    if (target) { gl.deleteFramebuffer(target.frame); gl.deleteRenderbuffer(target.colour); gl.deleteRenderbuffer(target.depth); }
    target = { width, height, frame: gl.createFramebuffer(), colour: gl.createRenderbuffer(), depth: gl.createRenderbuffer() };
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    for (const [buffer, format, place] of [[target.colour, gl.RGBA32UI, gl.COLOR_ATTACHMENT0], [target.depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT]]) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer); gl.renderbufferStorage(gl.RENDERBUFFER, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffer);
    }
  }
  const row = height - 1 - y, seen = matrix(axes());
  gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
  gl.viewport(0, 0, width, height); gl.enable(gl.SCISSOR_TEST); gl.scissor(x, row, 1, 1);
  gl.disable(gl.BLEND); gl.disable(gl.POLYGON_OFFSET_FILL); gl.enable(gl.DEPTH_TEST); gl.depthFunc(gl.LEQUAL);
  gl.clearBufferuiv(gl.COLOR, 0, new Uint32Array(4)); gl.clearBufferfv(gl.DEPTH, 0, new Float32Array([1]));
  gl.useProgram(numbering.made);
  let first = 1;
  const layers = shown().filter(layer => !layer.overlay);
  for (const layer of layers) { layer.first = first; first += layer.count; }
  const answer = new Uint32Array(4);
  for (const through of [false, true]) { // what is seen through is met only where nothing else is
    if (answer[0]) break;
    for (const layer of layers.filter(one => one.through === through)) {
      bind(layer, numbering, seen); gl.uniform1i(numbering.at.u_first, layer.first);
      gl.drawElements(gl.TRIANGLES, layer.faces, gl.UNSIGNED_INT, 0);
    }
    gl.readPixels(x, row, 1, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, answer);
  }
  gl.disable(gl.SCISSOR_TEST); gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  let number = answer[0] - 1;
  if (number < 0) return null;
  const xyz = [...new Float32Array(answer.buffer, 4, 3)];
  for (const layer of layers) {
    if (number < layer.count) return { layer, row: number, id: layer.details ? layer.details.ids[number] : undefined, xyz };
    number -= layer.count;
  }
  return null;
}

// ------------------------------------------------------------------------------------------------ what one reads
function furniture({ right, up }) {
  const length2 = Math.hypot(right[1], up[1]) || 1, reach = 12 + 27 * Math.max(length2, 0.5);
  $('north').style.left = `${44 + right[1] / length2 * reach}px`; $('north').style.top = `${44 - up[1] / length2 * reach}px`;
  $('needle').style.transform = `matrix(${right[0]}, ${-up[0]}, ${-right[1]}, ${up[1]}, 0, 0)`;
  const perPixel = 2 * Math.tan(view.angle / 2) * view.distance / canvas.clientHeight, longest = perPixel * canvas.clientWidth / 8;
  const ten = 10 ** Math.floor(Math.log10(longest)), length = [5, 2, 1].map(s => s * ten).find(v => v <= longest * (1 + 1e-9));
  $('bar').style.width = `${length / perPixel}px`;
  $('length').textContent = `${length < 1000 ? +length.toPrecision(2) + ' m' : length / 1000 + ' km'} (${word('centre')})`;
}
function swatch(colour, hatch) {
  const node = make('span', undefined, hatch ? 'swatch hatch' : 'swatch');
  node.style.backgroundColor = `rgb(${colour.join(',')})`;
  return node;
}
function legend(said) {
  const box = make('div', undefined, 'legend');
  if (said.note.en) box.append(make('div', say(said.note), 'hint'));
  if (said.ramp.length) {
    box.append(make('div', `${say(said.title)}${said.unit ? ` [${said.unit}]` : ''}`));
    const bar = make('div', undefined, 'ramp'), ends = make('div', undefined, 'ends');
    bar.style.backgroundImage = `linear-gradient(to right, ${said.ramp.map(c => `rgb(${c.join(',')})`).join(',')})`;
    for (const mark of said.marks) ends.append(make('span', mark));
    box.append(bar, ends);
  }
  if (said.entries.length && said.unit && !said.ramp.length) box.append(make('div', `${say(said.title)} [${said.unit}]`));
  for (const entry of said.entries) {
    const line = make('div', undefined, 'entry');
    line.append(swatch(entry.colour, entry.hatch), make('span', say(entry.label)), make('span', entry.count === null ? '' : entry.count.toLocaleString('en'), 'count'));
    box.append(line);
  }
  return box;
}
function panel() {
  document.documentElement.lang = language;
  $('title').textContent = scene.title; $('search').placeholder = word('search'); $('search').setAttribute('aria-label', word('search'));
  $('language').textContent = language === 'zh' ? 'English' : '中文'; $('home').textContent = word('reset'); $('top').textContent = word('top');
  $('help').textContent = word('help'); $('source').textContent = say(scene.source); $('heading').textContent = word('layers');
  $('north').textContent = language === 'zh' ? '北' : 'N';
  const list = $('layers');
  list.replaceChildren();
  for (const layer of [...scene.layers].reverse()) {
    const item = make('li'), head = make('label'), box = make('input'), slide = make('input');
    box.type = 'checkbox'; box.checked = layer.visible; slide.type = 'range'; slide.min = 0; slide.max = 100; slide.value = Math.round(layer.opacity * 100);
    slide.title = word('opacity'); slide.setAttribute('aria-label', `${say(layer.label)}: ${word('opacity')}`);
    box.onchange = () => { layer.visible = box.checked; dirty = true; };
    slide.oninput = () => { layer.opacity = slide.value / 100; dirty = true; };
    const { motion } = layer, classes = motion && motion.kind === 'states' ? motion.quantities[motion.by || 0][now.place === null ? 'legend_ever' : 'legend'] : layer.legend;
    const line = make('div', undefined, 'line'), only = classes.entries, single = only.length === 1 && !classes.ramp.length && !only[0].hatch && !classes.note.en;
    head.append(box, ...(single ? [swatch(only[0].colour)] : []), make('span', say(layer.label), 'name'));
    if (layer.named && !isGround(layer) && !layer.results) head.append(make('span', layer.count.toLocaleString('en'), 'count'));
    line.append(head, slide); item.append(line);
    const many = layer.motion && layer.motion.kind === 'states' && layer.motion.quantities.length > 1;
    if (many) {
      const choice = make('select');
      choice.setAttribute('aria-label', word('colour')); choice.title = word('colour');
      layer.motion.quantities.forEach((one, at) => choice.append(new Option(say(one.title), at, false, at === layer.motion.by)));
      choice.onchange = () => { layer.motion.by = +choice.value; paint(layer); panel(); dirty = true; };
      item.append(choice);
    }
    if (!single) item.append(legend(classes));
    if (layer.notes.length) { const note = make('div', '⚠ ' + layer.notes.map(say).join('; '), 'note'); note.title = word('notDrawn'); item.append(note); }
    list.append(item);
  }
  details(); timeline();
}
const number = value => typeof value === 'number' && !Number.isInteger(value) ? String(Math.abs(value) >= 1 ? +value.toFixed(3) : +value.toPrecision(4)) : String(value);
function line(table, name, value, unit, claims) {
  const tr = make('tr'), cell = make('td', value === null || value === undefined ? '–' : number(value) + (unit ? ` ${unit}` : ''));
  tr.append(make('th', name), cell); table.append(tr);
  if (!claims) return;
  const button = make('button', '?', 'why'), more = make('tr', undefined, 'claims'), list = make('td');
  button.title = word('why'); button.setAttribute('aria-label', `${name}: ${word('why')}`); cell.append(button); list.colSpan = 2; more.hidden = true; more.append(list); table.append(more);
  button.onclick = () => { more.hidden = !more.hidden; };
  for (const claim of claims()) {
    const text = `${claim.value === null ? '–' : number(claim.value)}${claim.unit ? ` ${claim.unit}` : ''} — ${claim.source || word('unsaid')}: ${claim.method}`;
    const sure = claim.confidence === null ? '' : `, ${word('confidence')} ${claim.confidence}`;
    list.append(make('div', `${claim.chosen ? '✓ ' + word('chosen') : '✗ ' + word('other')} · ${text}${sure}`, claim.chosen ? 'chosen' : 'other'));
  }
}
function claimsOf(id, name, value, unit, field, source) {
  return () => {
    const said = ((scene.details.claims[id] || {})[name] || []).map(c => ({ ...c, source: scene.details.sources[c.source] }));
    if (said.some(c => c.chosen)) return [...said].sort((a, b) => b.chosen - a.chosen);
    return [{ value, unit, source: scene.details.sources[source], method: field ? `${word('read')} (${word('field')} ${field})` : word('read'), confidence: null, chosen: true }, ...said];
  };
}
function alike(layer, row) { // this object, and what other layers with results call by the same name
  const said = layer.details;
  if (!said || !said.ids.length) return [];
  const name = said.keys ? said.keys[row] : said.ids[row], found = [[layer, row]];
  for (const other of scene.layers) {
    if (other === layer || !other.details || !other.visible || !(other.details.told.length || other.motion)) continue;
    if (!other.by_name) other.by_name = new Map((other.details.keys || other.details.ids).map((id, at) => [id, at]).reverse());
    if (other.by_name.has(name)) found.push([other, other.by_name.get(name)]);
  }
  return found;
}
function told(table, layer, row, heading) { // what a result says of an object, and how it is at the time shown
  const { motion } = layer, moving = motion && motion.kind === 'states' && motion.shown >= 0;
  if (heading) { const tr = make('tr'), cell = make('th', say(layer.label), 'part'); cell.colSpan = 2; tr.append(cell); table.append(tr); }
  if (moving && !heading) line(table, word('time'), $('instant').textContent, '');
  for (const { title, unit, names, none, closed, closed_ever, codes, numbers, halves } of moving ? motion.quantities : []) {
    const rows = layer.details.keys ? layer.rows(row) : [row], own = rows.map(at => codes[motion.shown * layer.count + at]), code = Math.max(...own.filter(one => one !== 2));
    const value = numbers[code], number = !(code > 2) ? null : names.length ? say(names[Math.round(value)]) : `${+value.toPrecision(3)} ± ${+halves[code].toPrecision(1)}${unit ? ` ${unit}` : ''}`;
    const text = own.includes(2) ? [say(now.place === null ? closed_ever : closed), number].filter(Boolean).join(' · ') : number || (code === 1 ? say(none) : '–');
    line(table, say(title), text, '');
  }
  for (const column of layer.details.told) if (!heading || column.en !== 'link') line(table, say(column), column.values[row], column.unit);
}
function details() {
  const box = $('details');
  box.replaceChildren();
  if (!chosen) { box.append(make('p', word('pick'), 'hint')); return; }
  const { layer, row, xyz } = chosen, said = layer.details, close = make('button', '×', 'close');
  close.title = word('close'); close.onclick = () => { chosen = null; dirty = true; details(); };
  box.append(close);
  const table = make('table');
  if (said && said.ids.length) {
    const id = said.ids[row], group = said.groups.find(g => row in g.place), type = said.types[said.type[row]];
    box.append(make('h2', said.names[row] || id), make('p', `${say(type)} · ${id}`, 'hint'));
    for (const [one, at] of alike(layer, row)) told(table, one, at, one !== layer);
    for (const column of said.core) line(table, say(column), column.values[row], column.unit, claimsOf(id, column.name, column.values[row], column.unit, '', said.source[row]));
    for (const column of group ? group.columns : []) {
      const value = column.values[group.place[row]];
      line(table, say(column), value, column.unit, claimsOf(id, column.name, value, column.unit, column.field, said.source[row]));
    }
    for (const check of scene.details.verdicts) {
      for (const verdict of check.rows[id] || []) {
        const unit = verdict.unit ? ` ${verdict.unit}` : '';
        const shown = verdict.value === undefined ? '' : ` · ${word('value')} ${number(verdict.value)}${unit}`;
        const bound = verdict.limit === undefined ? '' : ` · ${word('limit')} ${number(verdict.limit)}${unit}`;
        const why = [verdict.reason, verdict.clause, verdict.assumption, verdict.note].filter(Boolean).join(' · ');
        box.append(make('p', `${say(check.label)}${verdict.place ? ` (${verdict.place})` : ''}: ${word(verdict.verdict) || verdict.verdict}${shown}${bound}${why ? ` · ${why}` : ''}`, `verdict ${verdict.verdict}`));
      }
    }
  } else box.append(make('h2', say(layer.label)));
  if (sheet(layer) && xyz) { // a byte knows a depth to half a step of its own
    const found = depth(layer.motion, xyz[0], xyz[1]), half = found === null ? 0 : layer.motion.span / 191 * (Math.sqrt(Math.min(1, (found - layer.motion.drawn) / layer.motion.span)) + 0.5 / 191);
    line(table, say(layer.legend.title), found === null ? word('dry') : `${found.toFixed(2)} ± ${Math.max(0.01, half).toFixed(2)}`, found === null ? '' : 'm');
    line(table, word('time'), $('instant').textContent, '');
  }
  if (layer.values && !layer.motion && !(said && said.told.length)) line(table, say(layer.legend.title), Number.isNaN(layer.values[row]) ? null : +layer.values[row].toPrecision(4), layer.unit);
  if (xyz) line(table, word('position'), xyz.map((v, axis) => (v + scene.origin[axis]).toFixed(2)).join(', '), '');
  box.append(table);
}
function find(text) {
  const list = $('found'), wanted = text.trim().toLowerCase();
  list.replaceChildren();
  if (!wanted || !scene.details) return;
  let count = 0;
  for (const layer of scene.layers) {
    if (!layer.details || layer.overlay) continue;
    const { ids, names } = layer.details;
    for (let at = 0; at < ids.length && count < 30; at++) {
      if (!ids[at].toLowerCase().includes(wanted) && !(names[at] || '').toLowerCase().includes(wanted)) continue;
      const button = make('button', names[at] ? `${names[at]} · ${ids[at]}` : ids[at]);
      button.onclick = () => { chosen = { layer, row: at, id: ids[at] }; visit(layer, at); details(); list.replaceChildren(); };
      list.append(button); count++;
    }
  }
  if (!count) list.append(make('p', word('none'), 'hint'));
}
function visit(layer, wanted) {
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity], scale = layer.arrays.points.type === 'u2' ? 65535 : 1;
  for (let vertex = 0; vertex < layer.points.length / 3; vertex++) {
    if ((layer.objects ? layer.objects[vertex] : 0) !== wanted) continue;
    for (let axis = 0; axis < 3; axis++) {
      const v = layer.low[axis] + layer.span[axis] * layer.points[3 * vertex + axis] / scale;
      low[axis] = Math.min(low[axis], v); high[axis] = Math.max(high[axis], v);
    }
  }
  dirty = true;
  if (low[0] > high[0]) return; // not drawn
  touched = true;
  view.target = low.map((v, axis) => (v + high[axis]) / 2);
  view.distance = Math.max(40, 2.2 * Math.hypot(...sub(high, low)) / Math.tan(view.angle / 2) / 2);
}

// ------------------------------------------------------------------------------------------------ moving
const fingers = new Map();
let moved = 0, slow = false, waiting = null, touched = false; // until someone moves the camera, it keeps everything framed
const here = event => { const box = canvas.getBoundingClientRect(); return [Math.floor((event.clientX - box.left) * canvas.width / box.width), Math.floor((event.clientY - box.top) * canvas.height / box.height)]; };
function orbit(dx, dy) { touched = true; view.turn += dx * 0.006; view.rise = Math.min(Math.PI / 2 - 0.001, Math.max(0.03, view.rise + dy * 0.006)); dirty = true; }
function slide(dx, dy) {
  const scale = 2 * Math.tan(view.angle / 2) * view.distance / canvas.clientHeight, { right } = axes(), forward = [-right[1], right[0], 0];
  touched = true;
  view.target = add(add(view.target, right, -dx * scale), forward, dy * scale / Math.max(0.25, Math.sin(view.rise)));
  dirty = true;
}
function zoom(factor, x, y) {
  const reach = Math.hypot(...sub(scene.bounds[1], scene.bounds[0])), next = Math.min(reach * 6, Math.max(4, view.distance * factor));
  if (x !== undefined) { const share = 1 - next / view.distance; slide((canvas.clientWidth / 2 - x) * share, (canvas.clientHeight / 2 - y) * share); }
  view.distance = next; touched = dirty = true;
}
function listen() {
  canvas.addEventListener('contextmenu', event => event.preventDefault());
  canvas.addEventListener('pointerdown', event => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); moved = 0; canvas.focus(); });
  canvas.addEventListener('pointermove', event => {
    const last = fingers.get(event.pointerId);
    if (!last) { if (!slow && event.pointerType === 'mouse') waiting = event; return; }
    const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
    moved += Math.abs(dx) + Math.abs(dy);
    if (fingers.size === 2) {
      const other = [...fingers.values()].find(f => f.pointerId !== event.pointerId), gap = f => Math.hypot(f.clientX - other.clientX, f.clientY - other.clientY);
      zoom(gap(last) / Math.max(1, gap(event))); slide(dx / 2, dy / 2);
    } else if (event.shiftKey || event.buttons & 6) slide(dx, dy); else orbit(dx, dy);
    fingers.set(event.pointerId, event);
  });
  canvas.addEventListener('pointerup', event => {
    fingers.delete(event.pointerId);
    if (moved > 5 || event.button !== 0) return;
    const found = pick(...here(event));
    chosen = found; dirty = true; details();
  });
  canvas.addEventListener('pointercancel', event => fingers.delete(event.pointerId));
  canvas.addEventListener('pointerleave', () => { waiting = null; if (hover) { hover = null; dirty = true; } $('tip').hidden = true; });
  canvas.addEventListener('wheel', event => { event.preventDefault(); zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.0022), event.offsetX, event.offsetY); }, { passive: false });
  canvas.addEventListener('keydown', event => {
    const act = { ArrowLeft: () => orbit(-15, 0), ArrowRight: () => orbit(15, 0), ArrowUp: () => orbit(0, 12), ArrowDown: () => orbit(0, -12), '+': () => zoom(0.85), '=': () => zoom(0.85),
      '-': () => zoom(1.18), n: () => { view.turn = 0; dirty = true; }, Home: () => { home(); dirty = true; }, a: () => slide(40, 0), d: () => slide(-40, 0), w: () => slide(0, 40), s: () => slide(0, -40),
      ' ': () => { if (scene.clock) play(!now.playing); }, ',': () => { if (scene.clock) step(-1); }, '.': () => { if (scene.clock) step(1); },
      Escape: () => { chosen = null; details(); dirty = true; } }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) { event.preventDefault(); act(); }
  });
  $('language').onclick = () => { language = language === 'zh' ? 'en' : 'zh'; panel(); dirty = true; };
  $('home').onclick = () => { touched = false; home(); dirty = true; };
  $('top').onclick = () => { touched = true; fit(0, Math.PI / 2 - 0.001); dirty = true; };
  $('fold').onclick = () => { $('panel').classList.toggle('folded'); };
  $('time').oninput = event => { play(false); goto(+event.target.value); };
  $('play').onclick = () => play(!now.playing);
  $('before').onclick = () => step(-1); $('after').onclick = () => step(1);
  $('highest').onclick = () => { play(false); goto(now.place === null ? 0 : null); };
  $('search').oninput = event => find(event.target.value);
  new ResizeObserver(resize).observe(canvas);
}
function glance(event) { // what the mouse is over; given up where drawing it is too slow
  const start = performance.now(), found = pick(...here(event)), tip = $('tip'), named = found && found.layer.details && found.id;
  slow = slow || performance.now() - start > 80;
  if ((found && `${found.layer.name}/${found.row}`) !== (hover && `${hover.layer.name}/${hover.row}`)) { hover = found && !isGround(found.layer) ? found : null; dirty = true; }
  tip.hidden = !named || isGround(found.layer);
  if (!tip.hidden) { tip.textContent = found.layer.details.names[found.row] || found.id; tip.style.left = `${event.offsetX + canvas.offsetLeft + 14}px`; tip.style.top = `${event.offsetY + 10}px`; }
}
function resize() {
  const ratio = Math.min(2, window.devicePixelRatio || 1), width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; if (!touched) home(); dirty = true; }
}
function frame(time) {
  if (now.playing) tick(time);
  if (waiting && !fingers.size) { const event = waiting; waiting = null; glance(event); }
  if (dirty) { dirty = false; draw(); }
  requestAnimationFrame(frame);
}
function place(said) { // row of each object within its group of one class
  for (const group of said.groups) { group.place = {}; group.rows.forEach((row, at) => { group.place[row] = at; }); }
  return said;
}
async function start() {
  if (!gl) { $('message').textContent = word('noGl'); return; }
  drawing = program(FRAGMENT.replace('LIGHT_KEY', scene.light.key.join(',')).replace('LIGHT_FILL', scene.light.fill.join(',')).replace('LIGHT_SKY', String(scene.light.sky)));
  numbering = program(NUMBERS);
  dry = bytes2d(gl.TEXTURE2, gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE, [1, 1], new Uint8Array(1));
  const block = await unpack('block');
  for (const layer of scene.layers) await upload(layer, block);
  const moment = new URLSearchParams(location.search).get('time'); // ?time=3 or ?time=maximum: shown first
  if (scene.clock) goto(moment === null ? now.place : moment === 'maximum' ? null : Math.round(+moment) || 0);
  resize(); panel(); listen(); draw();
  scene.details = JSON.parse(new TextDecoder().decode(await unpack('facts')));
  for (const layer of scene.layers) {
    layer.details = scene.details.layers[layer.name] ? place(scene.details.layers[layer.name]) : null;
    if (layer.details && layer.details.keys) { // a ribbon and the broad one of its closure are two objects with one name
      const rows = new Map(); layer.details.keys.forEach((key, at) => rows.set(key, [...(rows.get(key) || []), at]));
      layer.rows = at => rows.get(layer.details.keys[at]);
    }
    if (layer.overlay && layer.details) layer.row_of = new Map(layer.details.ids.map((id, at) => [id, at]));
  }
  $('message').hidden = true;
  const asked = new URLSearchParams(location.search).get('pick'); // ?pick=0.5,0.5;0.2,0.3 (shares of width and height): answered in the title, for tests
  if (asked) {
    const picks = asked.split(';').map(pair => pair.split(',').map(Number)).map(([x, y]) => pick(Math.floor(x * canvas.width), Math.floor(y * canvas.height)));
    document.title = JSON.stringify({ size: [canvas.width, canvas.height], picks: picks.map(p => p && `${p.layer.name}/${p.id === undefined ? p.row : p.id}`) });
    chosen = picks[0]; details(); draw();
  }
  requestAnimationFrame(frame);
}
start().catch(error => { $('message').hidden = false; $('message').textContent = String(error); throw error; });
})();
