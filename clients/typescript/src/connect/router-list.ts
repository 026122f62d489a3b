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

/** All of them; a list that cannot say anything now is left out as long as another one can. */
export function joinedList(lists: readonly RouterList[]): RouterList {
  const [only, ...others] = lists;
  if (only !== undefined && others.length === 0) return only;
  return {
    urls: () => joined(lists.map((list) => list.urls())),
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
