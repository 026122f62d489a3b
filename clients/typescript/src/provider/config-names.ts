/** What a provider's configuration may hold, over a router and without one. */
export const CONFIG_NAMES = ["discovery", "loadBalancing", "healthCheck", "security", "connectionPool"];
