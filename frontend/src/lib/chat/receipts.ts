// Asks how many have seen the newest messages of our own, while somebody looks and the answer can still change.

import type { Chat } from "./chat.svelte";

const EVERY_MS = 1_500;
/** Only so many of the newest are asked for. */
const NEWEST = 4;

/** Ask again and again; return what ends that. */
export function pollReceipts(chat: Chat): () => void {
  const timer = setInterval(() => {
    if (!document.hidden && chat.client.status.authenticated) void ask(chat);
  }, EVERY_MS);
  return () => clearInterval(timer);
}

async function ask(chat: Chat): Promise<void> {
  const conversation = chat.selected;
  if (!conversation?.joined) return;
  const others = conversation.members.filter((member) => member.client_id !== chat.client.clientId).length;
  for (const entry of conversation.newestOwn(NEWEST)) {
    if (entry.seenBy !== undefined && entry.seenBy >= others) continue;
    try {
      const { acknowledged } = await chat.client.receipt(conversation.channel, entry.offset);
      // We have seen our own.
      entry.seenBy = Math.max(0, acknowledged - 1);
    } catch {
      return; // the connection broke, or the message is no longer kept: asked again next time
    }
  }
}
