// JSON text of frames, both ways.

import type { ClientFrame, DeliveryFrame, HistoryData, ServerFrame, StoredFrame } from "./frames.js";

/** A stored message as it is given to the application: the frame of the wire, its offset a number. */
export type Message = DeliveryFrame & { offset: number };

/** A page of a history. */
export type HistoryPage = Omit<HistoryData, "messages" | "offset"> & { messages: Message[]; offset: number };

const utf8 = new TextEncoder();

/** Return a frame's text. */
export function encode(frame: ClientFrame): string {
  return JSON.stringify(frame);
}

/** Return how many bytes a text has on the wire. */
export function byteLength(text: string): number {
  return utf8.encode(text).length;
}

/** Return a frame of the server; undefined: it is none. */
export function decode(text: unknown): ServerFrame | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const frame: unknown = JSON.parse(text);
    return typeof (frame as ServerFrame | null)?.type === "string" ? (frame as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a frame is a stored message; an echo of the debug endpoint is not. */
export function isDelivery(frame: ServerFrame): frame is DeliveryFrame {
  return "epoch" in frame && "offset" in frame && frame.type !== "message_delivered";
}

/** Return a stored message with its offset as a number. */
export function toMessage(frame: DeliveryFrame | StoredFrame): Message {
  return { ...frame, offset: Number(frame.offset) } as Message;
}

/** Return a page of history with its offsets as numbers. */
export function toPage(data: HistoryData): HistoryPage {
  return { ...data, offset: Number(data.offset), messages: data.messages.map(toMessage) };
}
