/** What @drover/router offers to tests that run a router in their own process. */
export { buildRouter, type Router, type RouterSurroundings } from "./build-router.ts";
export { type RouterConfig, routerConfig } from "./config.ts";
