// The type declarations of @connectrpc/connect use HeadersInit, which is a DOM name that @types/node does not declare.
// Without this line `skipLibCheck` would silently make it `any`.
type HeadersInit = ConstructorParameters<typeof Headers>[0];
