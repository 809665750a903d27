// Threads over HTTP: `/api/chat/threads` of the edge.

/** Where the threads are, and who asks. */
export interface ThreadsPlace {
  url: string;
  apiKey: string;
  clientId: string;
  domain: string;
  workspace: string;
}

/** A thread, as the edge tells of it. */
export interface Thread {
  thread_id: string;
  title: string;
  channel: string;
  created_by: string;
  message_count: number;
  last_message_at: string | null;
}

const PATH = "/api/chat/threads";
const DEADLINE_MS = 10_000;

/**
 * Read the newest threads.
 *
 * @throws Error With the words of the edge, or of the browser when it cannot be reached.
 */
export async function listThreads(place: ThreadsPlace, limit = 30): Promise<Thread[]> {
  const query = new URLSearchParams({ domain: place.domain, workspace: place.workspace, limit: String(limit) });
  const { threads } = (await ask(place, `${PATH}?${query.toString()}`)) as { threads: Thread[] };
  return threads;
}

/**
 * Make a thread.
 *
 * @throws Error See `listThreads`.
 */
export async function createThread(place: ThreadsPlace, title: string): Promise<Thread> {
  const { domain, workspace, clientId } = place;
  const body = JSON.stringify({ title, domain, workspace, client_id: clientId });
  const { thread } = (await ask(place, PATH, { method: "POST", body })) as { thread: Thread };
  return thread;
}

async function ask({ url, apiKey }: ThreadsPlace, path: string, more: RequestInit = {}): Promise<unknown> {
  const answer = await fetch(`${url}${path}`, {
    ...more,
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const body = (await answer.json()) as { error?: { message: string } };
  if (!answer.ok) throw new Error(body.error?.message ?? `The edge answered ${answer.status}`);
  return body;
}
