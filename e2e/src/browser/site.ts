/** Serves pages from memory as any web server would. One port is two origins to a browser: `127.0.0.1` and `localhost`. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface SiteFile {
  readonly type: string;
  readonly body: string | Uint8Array;
}

export interface Site {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  /** `http://localhost:PORT`: the same pages, and to a browser another origin. */
  readonly otherOrigin: string;
  close(): Promise<void>;
}

/** By path, as `/main.js`. */
export async function serveSite(files: ReadonlyMap<string, SiteFile>): Promise<Site> {
  const server = createServer((request, response) => {
    const file = files.get(request.url?.split("?", 1)[0] ?? "");
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": file.type }).end(file.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    otherOrigin: `http://localhost:${port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
