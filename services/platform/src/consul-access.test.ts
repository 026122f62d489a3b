import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigError } from "./config-error.ts";
import { consulAccess, consulAddressOf } from "./consul-access.ts";

const folder = mkdtempSync(join(tmpdir(), "drover-consul-access-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "token");
const url = "http://127.0.0.1:8500";

describe("access to Consul", () => {
  it("takes the token from the environment, and none where there is none", () => {
    expect(consulAccess(url, { CONSUL_HTTP_TOKEN: " secret\n" }).token()).toBe("secret");
    expect(consulAccess(url, { CONSUL_HTTP_TOKEN: "" }).token()).toBeUndefined();
    expect(consulAccess(url, {}).token()).toBeUndefined();
  });

  it("reads a token file each time, before the variable, and keeps the last token while the file is away", () => {
    writeFileSync(file, "first\n");
    const access = consulAccess(url, { CONSUL_HTTP_TOKEN_FILE: file, CONSUL_HTTP_TOKEN: "other" });
    expect(access.token()).toBe("first");
    writeFileSync(file, "second\n");
    expect(access.token()).toBe("second");
    rmSync(file);
    expect(access.token()).toBe("second");
  });

  it("says which file or variable is wrong before anything starts, and never its content", () => {
    const missing = () => consulAccess(url, { CONSUL_HTTP_TOKEN_FILE: join(folder, "none") });
    expect(missing).toThrow(ConfigError);
    expect(missing).toThrow(/CONSUL_HTTP_TOKEN_FILE .*none: cannot be read \(ENOENT\)/);
    const wrong = () => consulAccess(url, { CONSUL_HTTP_TOKEN: "my secret" });
    expect(wrong).toThrow("CONSUL_HTTP_TOKEN: must hold one token, printable and without spaces.");
    writeFileSync(file, "x".repeat(4097));
    expect(() => consulAccess(url, { CONSUL_HTTP_TOKEN_FILE: file })).toThrow(/larger than 4096 bytes/);
  });

  it("does not show the token when it is printed", () => {
    expect(JSON.stringify(consulAccess(url, { CONSUL_HTTP_TOKEN: "secret" }))).toBe(JSON.stringify({ url }));
  });
});

describe("the address that --consul without a value means", () => {
  it.each([
    [{}, "127.0.0.1:8500"],
    [{ CONSUL_HTTP_ADDR: "" }, "127.0.0.1:8500"],
    [{ CONSUL_HTTP_ADDR: "consul:8500" }, "consul:8500"],
    [{ CONSUL_HTTP_SSL: "true" }, "https://127.0.0.1:8500"],
    [{ CONSUL_HTTP_ADDR: "http://consul", CONSUL_HTTP_SSL: "true" }, "http://consul"],
    [{ CONSUL_HTTP_ADDR: "consul", CONSUL_HTTP_SSL: "false" }, "consul"],
  ])("is, with %o, %s", (env, address) => {
    expect(consulAddressOf(env)).toBe(address);
  });
});
