/** Starts a real headless Chromium with a profile of its own, which goes with it. It knows no page. */
import puppeteer, { type Browser } from "puppeteer-core";

const START_LIMIT_MS = 30_000;

/** Killed when the test process ends, if it was not closed before. */
export async function startChromium(executablePath: string): Promise<Browser> {
  return await puppeteer.launch({
    executablePath,
    headless: true,
    timeout: START_LIMIT_MS,
    args: [
      // Chromium refuses to run as root with its sandbox, which is who tests in containers are.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      // /dev/shm of a container is often 64 MB, and a page that does not fit crashes.
      "--disable-dev-shm-usage",
    ],
  });
}
