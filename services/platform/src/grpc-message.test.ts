import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeGrpcMessage, encodeGrpcMessage, limitMessage, MESSAGE_LIMIT } from "./grpc-message.ts";

/** Halves of surrogate pairs included. */
function anyText(maxLength = 50): fc.Arbitrary<string> {
  return fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength }).map((units) => String.fromCharCode(...units));
}

describe("encodeGrpcMessage", () => {
  it("keeps what is printable and encodes the rest", () => {
    expect(encodeGrpcMessage("100% of 'ä' – 🦙\r\n")).toBe("100%25 of '%C3%A4' %E2%80%93 %F0%9F%A6%99%0D%0A");
    expect(encodeGrpcMessage(" a b ")).toBe("%20a b%20");
    expect(encodeGrpcMessage("\ud800")).toBe("%EF%BF%BD");
  });

  it("comes back as it was, whatever it is", () => {
    fc.assert(fc.property(anyText(), (text) => decodeGrpcMessage(encodeGrpcMessage(text)) === text.toWellFormed()));
  });

  it("is always a header that HTTP/2 allows", () => {
    fc.assert(fc.property(anyText(), (text) => /^$|^[!-~]([ -~]*[!-~])?$/.test(encodeGrpcMessage(text))));
  });
});

describe("decodeGrpcMessage", () => {
  it.each([
    ["50%", "50%"],
    ["%zz%4", "%zz%4"],
    ["%41%4a", "AJ"],
    ["%FF", "\ufffd"],
    ["plain", "plain"],
  ])("keeps what it cannot decode: %s", (encoded, expected) => expect(decodeGrpcMessage(encoded)).toBe(expected));
});

describe("limitMessage", () => {
  it("leaves short messages alone and cuts long ones between characters", () => {
    expect(limitMessage("short")).toBe("short");
    expect(limitMessage("a".repeat(MESSAGE_LIMIT))).toHaveLength(MESSAGE_LIMIT);
    const cut = limitMessage("🦙".repeat(500));
    expect(cut).toMatch(/^(🦙)+…$/u);
    expect(encodeURIComponent(cut).length).toBeLessThanOrEqual(MESSAGE_LIMIT);
  });

  it("repairs halves of characters, also those that its own cut makes", () => {
    expect(limitMessage("a\ud800b")).toBe("a\ufffdb");
    expect(limitMessage(`${"a".repeat(MESSAGE_LIMIT)}🦙`)).toBe(`${"a".repeat(MESSAGE_LIMIT - 9)}…`);
  });

  it("stays within the limit, well formed and quick, whatever comes", () => {
    fc.assert(
      fc.property(anyText(3000), (text) => {
        const limited = limitMessage(text);
        expect(encodeURIComponent(limited).length).toBeLessThanOrEqual(MESSAGE_LIMIT);
        expect(limited.isWellFormed()).toBe(true);
      }),
    );
    expect(limitMessage("x".repeat(50_000_000)).length).toBeLessThanOrEqual(MESSAGE_LIMIT);
  });
});
