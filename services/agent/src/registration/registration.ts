/**
 * How others learn that this agent exists. `none`: routers are told its address by their own configuration.
 */
export interface Registration {
  /** Makes the agent known; resolves when that was done or is tried again and again by itself. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export const noRegistration: Registration = {
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};
