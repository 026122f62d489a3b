import { describe, expect, it } from "vitest";
import { DroverError } from "../errors/drover-error.ts";
import { isLoopbackUrl, parseAddresses } from "./address.ts";

const urlsOf = (given: string | readonly string[] | undefined, isTls = false): unknown[] =>
  parseAddresses(given, isTls).map((address) => (address.kind === "router" ? address.url : address));

describe("addresses", () => {
  it.each([
    [undefined, "http://127.0.0.1:50051"],
    ["fleet", "http://fleet:50051"],
    ["fleet:1234", "http://fleet:1234"],
    [" 10.0.0.1:1234 ", "http://10.0.0.1:1234"],
    ["[::1]:1234", "http://[::1]:1234"],
    ["[::1]", "http://[::1]:50051"],
    ["2001:db8::7", "http://[2001:db8::7]:50051"],
    ["http://fleet:50051/", "http://fleet:50051"],
    ["HTTP://Fleet", "http://fleet"],
    ["https://drover.example", "https://drover.example"],
    ["https://drover.example/fleet/", "https://drover.example/fleet"],
  ])("read %s as %s", (given, url) => {
    expect(urlsOf(given)).toEqual([url]);
  });

  it("without a scheme are https where TLS is asked for", () => {
    expect(urlsOf(["fleet", "[::1]:1"], true)).toEqual(["https://fleet:50051", "https://[::1]:1"]);
    expect(() => urlsOf("http://fleet", true)).toThrow(
      'Address "http://fleet" is http, and tls is given: write https.',
    );
  });

  it.each([
    ["dns:///routers", { kind: "dns", host: "routers", port: 50_051 }],
    ["dns:///routers:1234", { kind: "dns", host: "routers", port: 1234 }],
    ["dns:routers.example:1", { kind: "dns", host: "routers.example", port: 1 }],
    ["consul://drover-router", { kind: "consul", service: "drover-router", consul: undefined }],
    ["consul://drover-router/", { kind: "consul", service: "drover-router", consul: undefined }],
    ["consul://consul.example/routers", { kind: "consul", service: "routers", consul: "consul.example:8500" }],
    ["consul://[::1]:8501/routers", { kind: "consul", service: "routers", consul: "[::1]:8501" }],
  ])("read %s", (given, address) => {
    expect(urlsOf(given)).toEqual([address]);
  });

  it("given twice are one", () => {
    expect(urlsOf(["fleet", "fleet:50051", "http://fleet:50051", "other"])).toEqual([
      "http://fleet:50051",
      "http://other:50051",
    ]);
  });

  it.each([
    ["", /is empty/],
    ["fleet:0", /port "0": a port is a number from 1 to 65535/],
    ["fleet:65536", /port "65536"/],
    ["fleet:port", /port "port"/],
    ["fleet:", /port ""/],
    ["a b", /is no host:port/],
    ["fleet/path", /is no host:port/],
    ["::1:zz", /is no host:port/],
    ["a:1,b:1", /comma: give several addresses as a list/],
    ["grpc://fleet", /scheme grpc: known are http, https, consul and dns/],
    ["http://", /is no URL/],
    ["http://fleet:99999", /is no URL/],
    ["http://fleet?x=1", /\? or # part/],
    ["dns://8.8.8.8/fleet", /three slashes/],
    ["dns:///", /three slashes/],
    ["dns:///fleet:0", /port "0"/],
    ["consul://", /is not consul:\/\/service/],
    ["consul://host:8500", /names a Consul and no service: write consul:\/\/host:8500\/drover-router/],
    ["consul://host:99999/x", /port "99999"/],
    ["consul://host/a b", /is not consul/],
  ])("refuse %j", (given, words) => {
    expect(() => parseAddresses(given, false)).toThrow(words);
  });

  it("that are wrong are all told at once", () => {
    const error = (() => {
      try {
        return parseAddresses(["a:0", "fine", "ftp://b"], false);
      } catch (thrown) {
        return thrown as DroverError;
      }
    })();
    expect(error).toBeInstanceOf(DroverError);
    expect(error).toMatchObject({ reason: "INVALID_ARGUMENT_LOCAL" });
    expect(String(error)).toMatch(/Address "a:0" .* Address "ftp:\/\/b" /);
  });

  it("never show a password", () => {
    expect(() => parseAddresses("https://me:secret@fleet", false)).toThrow(
      /^The address of fleet has a user or password/,
    );
  });

  it("are none of an empty list, and at most 256", () => {
    expect(() => parseAddresses([], false)).toThrow(/the list is empty/);
    const many = Array.from({ length: 257 }, (_, index) => `host-${index}`);
    expect(() => parseAddresses(many, false)).toThrow(/257 addresses: at most 256/);
    expect(parseAddresses(many.slice(1), false)).toHaveLength(256);
  });
});

describe("an address of this machine", () => {
  it.each(["http://localhost:1", "http://a.localhost", "http://127.0.0.1", "http://127.1.2.3", "http://[::1]:1"])(
    "is %s",
    (url) => {
      expect(isLoopbackUrl(url)).toBe(true);
    },
  );
  it.each(["http://10.0.0.1", "http://127.0.0.1.example", "http://localhost.example", "http://[2001:db8::1]"])(
    "is not %s",
    (url) => {
      expect(isLoopbackUrl(url)).toBe(false);
    },
  );
});
