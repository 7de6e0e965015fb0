/** For specs in a guest with udev: the DLM's devices as the kernel, the file system and udev know them. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { promisify } from 'node:util';

const MISC_MAJOR = 10;

/** Runs udev's own program to its end. */
export async function udevadm(...args: string[]): Promise<void> {
  await promisify(execFile)('udevadm', args);
}

/** Resolves once udev has dealt with all that the kernel has told it. */
export function udevSettled(): Promise<void> {
  return udevadm('settle');
}

/** The kernel's devices of the DLM, by name, with their minor numbers. */
export function dlmDevices(): Map<string, number> {
  const lines = readFileSync('/proc/misc', 'utf8').trimEnd().split('\n');
  const devices = lines.map((line) => /^ *(\d+) (.*)$/.exec(line));
  return new Map(
    devices.flatMap((found) =>
      found?.[2]?.startsWith('dlm') ? [[found[2], Number(found[1])] as const] : [],
    ),
  );
}

/** The names in `/dev/misc`. */
export function dlmLinks(): string[] {
  return readdirSync('/dev/misc').sort();
}

function minorOf(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}

/**
 * The permissions of a device that the kernel knows, after a look at how it came to its name in
 * `/dev/misc`: by a link of udev's, which is in udev's records.
 */
export function modeOfUdevDevice(name: string): number {
  const minor = dlmDevices().get(name);
  expect(minor, `the kernel's ${name}`).to.be.a('number');
  const path = `/dev/misc/${name}`;
  expect(readlinkSync(path)).to.equal(`../${name}`);
  const { mode, rdev } = statSync(path);
  expect(minorOf(rdev), `the minor number of ${path}`).to.equal(minor);
  const record = readFileSync(`/run/udev/data/c${MISC_MAJOR}:${minor}`, 'utf8').split('\n');
  expect(record, `what udev knows of ${name}`).to.include(`S:misc/${name}`);
  return mode & 0o777;
}
