// What applications import.

export { TidewireClient } from "./client.js";
export type { HistoryOptions, PublishOptions, PublishType, Receipt } from "./client.js";
export { Channel } from "./channel.js";
export type { HistoryPage, Message } from "./codec.js";
export { TidewireError } from "./errors.js";
export type { LocalErrorType } from "./errors.js";
export type { ClientEvents } from "./events.js";
export type * from "./frames.js";
export type { State, Status } from "./link.js";
export type { JoinOptions } from "./memberships.js";
export type { ClientOptions } from "./options.js";
export type { Delivery } from "./outgoing.js";
export type { Socket, SocketConstructor } from "./socket.js";
export { BROADCASTS, inboxOf } from "./standing.js";
export type { Joined } from "./subscription.js";
export type { Position } from "./tracker.js";
