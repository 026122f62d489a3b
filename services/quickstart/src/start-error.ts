/** What keeps `npm start` from serving although it was used rightly: one sentence for people, exit code 1. */
export class StartError extends Error {
  override readonly name = "StartError";
}
