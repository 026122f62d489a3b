/** Which routers there are. */

export interface RouterList {
  /** At least one URL; at once where the list is known, else as soon as it is. Rejects where nothing can be known now. */
  urls(): readonly string[] | Promise<readonly string[]>;
  /** As `urls`, but what is known may be old: asks again, if it may. Rejects never while something is known. */
  freshUrls(): Promise<readonly string[]>;
  close(): void;
}

export function staticList(urls: readonly string[]): RouterList {
  return { urls: () => urls, freshUrls: () => Promise.resolve(urls), close: () => undefined };
}

/** All of them; a list that cannot say anything now is left out, and not waited for, as long as another one can. */
export function joinedList(lists: readonly RouterList[]): RouterList {
  const [only, ...others] = lists;
  if (only !== undefined && others.length === 0) return only;
  return {
    urls: () => {
      const answers = lists.map((list) => list.urls());
      // A Consul that hangs must not hold up calls that have somewhere to go.
      const known = answers.flatMap((answer) => (answer instanceof Promise ? [] : answer));
      const all = joined(answers);
      if (known.length === 0) return all;
      // Nobody waits for the others, and a rejection that nobody hears ends the process.
      all.catch(() => undefined);
      return [...new Set(known)];
    },
    freshUrls: () => joined(lists.map((list) => list.freshUrls())),
    close: () => {
      for (const list of lists) list.close();
    },
  };
}

async function joined(
  answers: readonly (readonly string[] | Promise<readonly string[]>)[],
): Promise<readonly string[]> {
  const settled = await Promise.allSettled(answers);
  const urls = settled.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
  const failed = settled.find((each) => each.status === "rejected");
  if (urls.length === 0 && failed !== undefined) throw failed.reason;
  return [...new Set(urls)];
}
