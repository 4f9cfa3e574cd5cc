// The track that is looked at, its sound, and lists of tracks.

import * as server from "./server.js";

const byId = (id) => document.getElementById(id);
const audio = byId("audio");

export const title = (path) => path.slice(path.lastIndexOf("/") + 1);

function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// What is known of a track, in a line.
function facts(track) {
  const folder = track.path.slice(0, track.path.lastIndexOf("/") + 1);
  const parts = [folder, clock(track.duration)];
  if (track.sample_rate) parts.push(`${track.sample_rate / 1000} kHz`);
  if (track.silence && track.silence !== "none") parts.push(`${track.silence} silence`);
  return [...parts, ...(track.notes ?? [])].filter(Boolean).join(" · ");
}

export function showTrack(track) {
  byId("track").hidden = false;
  byId("title").textContent = title(track.path);
  byId("facts").textContent = facts(track);
}

export function showFile(file) {
  byId("track").hidden = false;
  byId("title").textContent = file.name;
  byId("facts").textContent = "your file, which is not kept";
  audio.onerror = null;
  play(URL.createObjectURL(file));
}

// Plays a track; what the browser has no decoder for comes as WAV.
export function playTrack(row, failed) {
  audio.onerror = () => {
    audio.onerror = () => server.sound(row).then(
      () => failed("it cannot be decoded"), (error) => failed(error.message));
    play(`wave/${row}`);
  };
  play(`sound/${row}`);
}

function play(address) {
  audio.src = address;
  audio.play().catch(() => {}); // a browser may want a click first; then the player has a button
}

export function pauseOrPlay() {
  if (audio.paused) audio.play().catch(() => {});
  else audio.pause();
}

// A list of tracks `{row, path, similarity?}`, each a button.
export function showList(heading, tracks, chosen) {
  byId("list").hidden = false;
  byId("heading").textContent = heading;
  byId("tracks").replaceChildren(...tracks.map((track) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const text = document.createElement("span");
    text.textContent = title(track.path);
    button.title = track.path;
    button.append(text);
    if (track.similarity !== undefined) {
      const similarity = document.createElement("small");
      similarity.textContent = track.similarity.toFixed(2);
      button.append(similarity);
    }
    button.onclick = () => chosen(track.row);
    item.append(button);
    return item;
  }));
}
