// Draws all meshes of one person at once, with one WebGL context that is copied into the tiles.
(function () {
  "use strict";
  const viewer = document.getElementById("meshes");
  if (!viewer) return;
  const data = JSON.parse(document.getElementById("mesh-data").textContent);
  const say = (text) => { viewer.querySelector(".message").textContent = text; };
  const glass = document.createElement("canvas");
  const gl = glass.getContext("webgl", { antialias: true, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
  if (!gl) {
    say("This browser has no WebGL, so the meshes cannot be turned; the pictures show the first person.");
    return;
  }
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const faces = new Uint16Array(bytes(data.faces));
  const shader = (kind, text) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, text);
    gl.compileShader(made);
    return made;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec3 place, normal; uniform mat3 turn; uniform vec2 scale; varying vec3 towards;
    void main() { vec3 p = turn * place; towards = turn * normal; gl_Position = vec4(p.x * scale.x, -p.y * scale.y, p.z * 0.2, 1.0); }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float; varying vec3 towards; uniform vec3 color, light; uniform float ambient;
    void main() { gl_FragColor = vec4(color * (ambient + (1.0 - ambient) * max(dot(normalize(towards), light), 0.0)), 1.0); }`));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) { say("WebGL does not work here; the pictures show the first person."); return; }
  gl.useProgram(program);
  const at = (name) => gl.getUniformLocation(program, name);
  const [turnAt, scaleAt, colorAt, lightAt, ambientAt] = ["turn", "scale", "color", "light", "ambient"].map(at);
  const length = Math.hypot(...data.light);
  gl.uniform3fv(lightAt, data.light.map((value) => value / length));
  gl.uniform1f(ambientAt, data.ambient);
  gl.enable(gl.DEPTH_TEST);
  const index = gl.createBuffer();
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, index);
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);

  function upload(mesh) {
    const steps = new Int16Array(bytes(mesh.vertices));
    const places = Float32Array.from(steps, (step) => step * data.unit);
    const normals = new Float32Array(places.length);
    for (let i = 0; i < faces.length; i += 3) {
      const a = 3 * faces[i], b = 3 * faces[i + 1], c = 3 * faces[i + 2];
      const ux = places[b] - places[a], uy = places[b + 1] - places[a + 1], uz = places[b + 2] - places[a + 2];
      const vx = places[c] - places[a], vy = places[c + 1] - places[a + 1], vz = places[c + 2] - places[a + 2];
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k];
    }
    return [places, normals].map((values) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      return buffer;
    });
  }

  const tiles = [...viewer.querySelectorAll("figure")];
  const canvases = tiles.map((tile) => {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "mesh of " + tile.dataset.label + ", to be turned by the arrow keys");
    canvas.tabIndex = 0;
    tile.querySelector("img").classList.add("still");
    tile.appendChild(canvas);
    return canvas;
  });
  let shown = 0, yaw = data.angle * Math.PI / 180, pitch = 0, zoom = 1, asked = false;

  function draw() {
    asked = false;
    const person = data.people[shown];
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const size = Math.max(1, Math.round(tiles[0].clientWidth * ratio));
    if (glass.width !== size) glass.width = glass.height = size;
    gl.viewport(0, 0, size, size);
    const [s, c, u, v] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    // Columns: first about the vertical axis, then about the horizontal one.
    gl.uniformMatrix3fv(turnAt, false, [c, s * u, -s * v, 0, v, u, s, -c * u, c * v]);
    gl.uniform2f(scaleAt, 2 * zoom / data.height, 2 * zoom / data.height);
    tiles.forEach((tile, i) => {
      const canvas = canvases[i], mesh = person.meshes.find((one) => one.label === tile.dataset.label);
      if (canvas.width !== size) canvas.width = canvas.height = size;
      const pencil = canvas.getContext("2d");
      pencil.clearRect(0, 0, size, size);
      if (!mesh) return;
      mesh.buffers = mesh.buffers || upload(mesh);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniform3fv(colorAt, mesh.color);
      ["place", "normal"].forEach((name, k) => {
        const slot = gl.getAttribLocation(program, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, mesh.buffers[k]);
        gl.enableVertexAttribArray(slot);
        gl.vertexAttribPointer(slot, 3, gl.FLOAT, false, 0, 0);
      });
      gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
      pencil.drawImage(glass, 0, 0);
    });
    viewer.classList.add("turning");
  }
  const ask = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };

  const select = viewer.querySelector("select");
  select.disabled = false;
  select.addEventListener("change", () => { shown = select.selectedIndex; ask(); });
  const turn = (right, up) => { yaw += right; pitch = Math.max(-1.5, Math.min(1.5, pitch + up)); ask(); };
  const zoomBy = (factor) => { zoom = Math.max(0.5, Math.min(4, zoom * factor)); ask(); };
  viewer.querySelectorAll("button").forEach((button) => {
    button.disabled = false;
    button.addEventListener("click", () => {
      if (button.dataset.zoom) { zoomBy(Number(button.dataset.zoom)); return; }
      yaw = button.dataset.yaw * Math.PI / 180; pitch = 0; zoom = 1; ask();
    });
  });
  const keys = {
    ArrowLeft: () => turn(-0.2, 0), ArrowRight: () => turn(0.2, 0), ArrowUp: () => turn(0, 0.2),
    ArrowDown: () => turn(0, -0.2), "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8),
  };
  canvases.forEach((canvas) => {
    canvas.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    // One finger turns, two zoom.
    const fingers = new Map();
    const apart = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const before = fingers.size === 2 ? apart() : 0;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (before) zoomBy(apart() / before);
      else if (fingers.size === 1) turn((event.clientX - last.x) * 0.012, (last.y - event.clientY) * 0.012);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => { fingers.delete(event.pointerId); });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;  // a plain wheel scrolls the page
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY * 0.002));
    }, { passive: false });
  });
  window.addEventListener("resize", ask);
  say("Drag, or use the arrow keys, to turn all meshes together; + and -, two fingers, or Ctrl and the wheel zoom.");
  // Not before it is in sight, so that the page opens quickly.
  if ("IntersectionObserver" in window) new IntersectionObserver((seen, watch) => {
    if (seen.some((one) => one.isIntersecting)) { watch.disconnect(); ask(); }
  }, { rootMargin: "300px" }).observe(viewer);
  else ask();
})();
