// The frames of the wire protocol. Do not edit: scripts/generate_contracts.py makes them from contracts.

/** An integer of up to 64 bits: a number, or its decimal digits. */
export type Int64 = number | string;

/** An object of JSON. */
export type JsonObject = Record<string, unknown>;

/** Any frame, before its `type` is looked at. */
export interface Envelope {
  /** Which frame it is. */
  type: string;
  /** An object; the table of the frame says what is in it. */
  data: unknown;
  /** Correlation, and for published messages the idempotency key: 1 to 64 characters. Repeated on every answer. */
  id?: string;
  /** The channel that the frame is about: 1 to 128 of `A-Z a-z 0-9 _ - . : / @ #`. */
  channel?: string;
  /** From a client: ignored. From the server: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** From a client: ignored. From the server: the addressee on answers, the sender on messages. */
  client_id?: string;
  /** On delivered messages: the life of the channel that `offset` counts in. */
  epoch?: string;
  /** On delivered messages: the place in the channel. */
  offset?: Int64;
}

/**
 * A place in a channel: after the message with this offset, in this life of the channel.
 *
 *     {"epoch": "b7Qk2x", "offset": 41}
 */
export interface ChannelPosition {
  /** Names one life of the channel; another epoch means that offsets began anew. */
  epoch: string;
  /** The offset of the last message seen; 0: before the first. */
  offset: Int64;
}

/**
 * A member of a channel, as `presence` and `presence_update` show it.
 *
 *     {"client_id": "alice", "connection_type": "chat", "joined_at": "2026-11-24T09:00:00.125Z"}
 */
export interface PresenceMember {
  /** The client; counted once, however many connections it has. */
  client_id: string;
  /** `chat`, `tasks`, `agents` or `graph`. */
  connection_type: string;
  /** When its first connection joined. */
  joined_at: string;
}

/** One channel that a returning client goes on with. */
export interface ResumeEntry {
  /** The channel; also `*` (broadcasts) and the client's own inbox `@client_id`. */
  channel: string;
  /** The epoch of the last message that was seen. */
  epoch: string;
  /** The offset of the last message that was seen. */
  offset: Int64;
}

/** `data` of `connect`. */
export interface ConnectData {
  /** The key. Never logged. */
  api_key: string;
  /** `chat`, `tasks`, `agents` or `graph`. */
  connection_type: string;
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  domain: string;
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. */
  workspace: string;
  /** Channels to join again, with the last position seen in each. */
  resume?: ResumeEntry[];
}

/**
 * Authenticates the connection. Answers: `connection_success`, `message_delivered`; then for each resumed channel its
 * `subscription_success` and what was missed. Refused: `error`, and for a bad key `disconnect`.
 *
 *     {"type": "connect", "data": {"api_key": "valid-test-key", "connection_type": "chat", "domain": "personal",
 *      "workspace": "personal"}}
 */
export interface ConnectFrame {
  /** Always `connect`. */
  type: "connect";
  /** The key, and where it is wanted. */
  data: ConnectData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `join_channel`. */
export interface JoinChannelData {
  /** The channel: 1 to 128 of `A-Z a-z 0-9 _ - . : / @ #`, not beginning with `@`. */
  channel: string;
  /** Wants what was missed: a `ChannelPosition` as an object, or the string `last_acked`. */
  recover?: unknown;
  /** Wants the last messages: 1 to 1000. */
  history?: number;
  /** Wants `presence_update` of this channel. */
  presence?: boolean;
}

/**
 * Makes the client a member. Answers: `message_delivered`, `subscription_success`, then missed messages, then live
 * ones.
 *
 *     {"type": "join_channel", "id": "j-1", "data": {"channel": "general", "recover": {"epoch": "b7Qk2x", "offset": 41}}}
 *     {"type": "join_channel", "id": "j-2", "data": {"channel": "ops", "recover": "last_acked", "presence": true}}
 */
export interface JoinChannelFrame {
  /** Always `join_channel`. */
  type: "join_channel";
  /** Which channel, and what of its past. */
  data: JoinChannelData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `leave_channel`. */
export interface LeaveChannelData {
  /** The channel. */
  channel: string;
}

/**
 * Ends a membership. Answers: `message_delivered`, `unsubscription_success`; nothing of the channel follows.
 *
 *     {"type": "leave_channel", "id": "l-1", "data": {"channel": "general"}}
 */
export interface LeaveChannelFrame {
  /** Always `leave_channel`. */
  type: "leave_channel";
  /** Which channel. */
  data: LeaveChannelData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * A chat message; `data.content` is required. Answers: to every member the same frame with its position, to the sender
 * `message_delivered` once it is stored.
 *
 *     {"type": "chat_message", "id": "m-1", "channel": "general", "data": {"content": "Hello"}}
 */
export interface ChatMessageFrame {
  /** Always `chat_message`. */
  type: "chat_message";
  /** Any JSON object, kept as the bytes it came in; `thread_id` puts it into a thread. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** The channel; the client must be a member. */
  channel?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * A message to a channel; `data.content` is required. Answers: to every member the same frame with its position, to
 * the sender `message_delivered` once it is stored.
 *
 *     {"type": "channel_message", "id": "m-2", "channel": "general", "data": {"content": {"kind": "note"}}}
 */
export interface ChannelMessageFrame {
  /** Always `channel_message`. */
  type: "channel_message";
  /** Any JSON object, kept as the bytes it came in; `thread_id` puts it into a thread. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** The channel; the client must be a member. */
  channel?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * News of a task. Answers: to every member the same frame with its position, to the sender `message_delivered` once it
 * is stored.
 *
 *     {"type": "task_update", "id": "m-3", "channel": "tasks", "data": {"task_id": "t-9", "progress": 0.5}}
 */
export interface TaskUpdateFrame {
  /** Always `task_update`. */
  type: "task_update";
  /** Any JSON object, kept as the bytes it came in; `thread_id` puts it into a thread. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** The channel; the client must be a member. */
  channel?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * News of an agent. Answers: to every member the same frame with its position, to the sender `message_delivered` once
 * it is stored.
 *
 *     {"type": "agent_status", "id": "m-4", "channel": "agents", "data": {"agent": "planner", "status": "busy"}}
 */
export interface AgentStatusFrame {
  /** Always `agent_status`. */
  type: "agent_status";
  /** Any JSON object, kept as the bytes it came in; `thread_id` puts it into a thread. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** The channel; the client must be a member. */
  channel?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * News of a graph. Answers: to every member the same frame with its position, to the sender `message_delivered` once
 * it is stored.
 *
 *     {"type": "graph_update", "id": "m-5", "channel": "graph", "data": {"nodes": [1, 2], "edges": [[1, 2]]}}
 */
export interface GraphUpdateFrame {
  /** Always `graph_update`. */
  type: "graph_update";
  /** Any JSON object, kept as the bytes it came in; `thread_id` puts it into a thread. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** The channel; the client must be a member. */
  channel?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * A message to one client, wherever it is connected, or kept for its return. Answer: `message_delivered`.
 *
 *     {"type": "direct_message", "id": "d-1", "data": {"to": "bob", "content": "For your eyes"}}
 */
export interface DirectMessageFrame {
  /** Always `direct_message`. */
  type: "direct_message";
  /** `to`: the addressee's client_id; any JSON besides. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * A message to every connection of the workspace; needs the permission. Answer: `message_delivered`.
 *
 *     {"type": "broadcast", "id": "b-1", "data": {"content": "Maintenance at noon"}}
 */
export interface BroadcastFrame {
  /** Always `broadcast`. */
  type: "broadcast";
  /** Any JSON object. */
  data: JsonObject;
  /**
   * Correlation and idempotency: the same id from the same client in the same channel is stored once. 1 to 64
   * characters.
   */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `ack`. */
export interface AckData {
  /** The channel; also `*` and the client's own inbox. */
  channel: string;
  /** The epoch of the last message that was handled. */
  epoch: string;
  /** The offset of the last message that was handled: everything up to it is acknowledged. */
  offset: Int64;
}

/**
 * Acknowledges everything up to a position. No answer.
 *
 *     {"type": "ack", "data": {"channel": "general", "epoch": "b7Qk2x", "offset": 42}}
 */
export interface AckFrame {
  /** Always `ack`. */
  type: "ack";
  /** Up to where. */
  data: AckData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** Where a history begins. */
export interface HistorySince {
  /** Not set: of whatever life of the channel. */
  epoch?: string;
  /** What comes after it; 0: from the oldest kept. */
  offset: Int64;
}

/** `data` of `history`, as a client asks. */
export interface HistoryRequestData {
  /** The channel; also `*` and the client's own inbox. */
  channel: string;
  /** Not set: the last messages. */
  since?: HistorySince;
  /** Messages a page: 1 to 1000; not set: 100. */
  limit?: number;
}

/**
 * Reads part of a channel's history. Answer: `history`.
 *
 *     {"type": "history", "id": "h-1", "data": {"channel": "general", "since": {"epoch": "b7Qk2x", "offset": 40}, "limit": 2}}
 */
export interface HistoryRequestFrame {
  /** Always `history`. */
  type: "history";
  /** Which part. */
  data: HistoryRequestData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `presence`, as a client asks. */
export interface PresenceRequestData {
  /** The channel. */
  channel: string;
}

/**
 * Reads the members of a channel. Answer: `presence`.
 *
 *     {"type": "presence", "id": "p-1", "data": {"channel": "general"}}
 */
export interface PresenceRequestFrame {
  /** Always `presence`. */
  type: "presence";
  /** Which channel. */
  data: PresenceRequestData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `receipt`, as a client asks. */
export interface ReceiptRequestData {
  /** The channel. */
  channel: string;
  /** The message: 1 or more. */
  offset: Int64;
}

/**
 * Asks how far a message has come. Answer: `receipt`.
 *
 *     {"type": "receipt", "id": "r-1", "data": {"channel": "general", "offset": 42}}
 */
export interface ReceiptRequestFrame {
  /** Always `receipt`. */
  type: "receipt";
  /** Which message. */
  data: ReceiptRequestData;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * Asks for a sign of life. Answer: `pong` with the same data.
 *
 *     {"type": "ping", "id": "g-1", "data": {"n": 1}}
 */
export interface PingFrame {
  /** Always `ping`. */
  type: "ping";
  /** Anything, or nothing. */
  data?: unknown;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/**
 * Says goodbye; allowed before `connect` too. Answer: `disconnect`, then close code 1000.
 *
 *     {"type": "disconnect", "id": "x-1"}
 */
export interface DisconnectRequestFrame {
  /** Always `disconnect`. */
  type: "disconnect";
  /** Not read. */
  data?: JsonObject;
  /** Correlation: repeated on every answer. 1 to 64 characters. */
  id?: string;
  /** Ignored by the server. */
  timestamp?: string;
  /** Ignored by the server. */
  client_id?: string;
}

/** `data` of `connection_established`. */
export interface ConnectionEstablishedData {
  /** `Connection established, waiting for authentication`. */
  message: string;
}

/**
 * The first frame of every connection, before any key.
 *
 *     {"type": "connection_established", "data": {"message": "Connection established, waiting for authentication"}}
 */
export interface ConnectionEstablishedFrame {
  /** Always `connection_established`. */
  type: "connection_established";
  /** What the server waits for. */
  data: ConnectionEstablishedData;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** What one connection may do. */
export interface ConnectionLimits {
  /** Bytes of one frame; more closes with 1009. */
  max_frame_bytes?: Int64;
  /** Bytes of a message's `data`; more is `message_error` 413. */
  max_message_bytes?: Int64;
  /** Frames a second. */
  frames_per_second?: number;
  /** Frames that may come at once. */
  frames_burst?: number;
  /** Bytes a second. */
  bytes_per_second?: Int64;
  /** Channels it may be a member of. */
  max_channels?: number;
  /** Unread bytes at which it is let go with 1013. */
  max_outbox_bytes?: Int64;
}

/** `data` of `connection_success`. */
export interface ConnectionSuccessData {
  /** `Connected`. */
  message: string;
  /** As in the URL. */
  client_id?: string;
  /** Of this connection; unique over all edges. */
  session_id?: string;
  /** The edge sends a WebSocket ping this often, in milliseconds. */
  heartbeat_ms?: number;
  /** What the connection may do. */
  limits?: ConnectionLimits;
}

/**
 * The key is good; `message_delivered` follows.
 *
 *     {"type": "connection_success", "data": {"message": "Connected"}}
 */
export interface ConnectionSuccessFrame {
  /** Always `connection_success`. */
  type: "connection_success";
  /** Who the client is now. */
  data: ConnectionSuccessData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `message_delivered`. */
export interface MessageDeliveredData {
  /** For people. */
  message: string;
  /** The `type` of the frame that is confirmed. */
  original_type: string;
  /** `success`. */
  status: string;
  /** Of a stored message: its id, also when the server made it. */
  id?: string;
  /** Of a stored message: its channel. */
  channel?: string;
  /** Of a stored message: the life of the channel. */
  epoch?: string;
  /** Of a stored message: its place in the channel. */
  offset?: Int64;
}

/**
 * Confirms a frame. For a message it says that the message is stored, and where.
 *
 *     {"type": "message_delivered", "data": {"message": "Authentication message received and processed",
 *      "original_type": "connect", "status": "success"}}
 */
export interface MessageDeliveredFrame {
  /** Always `message_delivered`. */
  type: "message_delivered";
  /** What is confirmed. */
  data: MessageDeliveredData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel that the frame was about. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
  /** The life of the channel that `offset` counts in. */
  epoch?: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset?: Int64;
}

/** `data` of `subscription_success`. */
export interface SubscriptionSuccessData {
  /** The channel. */
  channel: string;
  /** `success`. */
  status: string;
  /** `Successfully joined channel`. */
  message: string;
  /** The life of the channel. */
  epoch: string;
  /** The newest message; live ones follow with this offset plus one. */
  offset: Int64;
  /** Nothing that was asked for is missing. */
  recovered?: boolean;
  /** If something is: `history_expired` or `epoch_changed`. */
  reason?: string;
}

/**
 * The client is a member of a channel; missed messages follow, then live ones.
 *
 *     {"type": "subscription_success", "id": "j-1", "channel": "general", "data": {"channel": "general", "status": "success",
 *      "message": "Successfully joined channel", "epoch": "b7Qk2x", "offset": 42, "recovered": true}}
 */
export interface SubscriptionSuccessFrame {
  /** Always `subscription_success`. */
  type: "subscription_success";
  /** From where on. */
  data: SubscriptionSuccessData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `unsubscription_success`. */
export interface UnsubscriptionSuccessData {
  /** The channel. */
  channel: string;
  /** `success`. */
  status: string;
  /** For people. */
  message: string;
  /** When the server ended the membership: why, e.g. `permission_denied`. */
  reason?: string;
}

/**
 * The client is no longer a member; nothing of the channel follows.
 *
 *     {"type": "unsubscription_success", "id": "l-1", "channel": "general", "data": {"channel": "general", "status": "success",
 *      "message": "Successfully left channel"}}
 */
export interface UnsubscriptionSuccessFrame {
  /** Always `unsubscription_success`. */
  type: "unsubscription_success";
  /** Of which channel. */
  data: UnsubscriptionSuccessData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/**
 * A stored `chat_message`, as every member sees it, the sender too.
 *
 *     {"type": "chat_message", "id": "m-1", "channel": "general", "client_id": "alice", "timestamp": "2026-11-24T09:00:00.125Z",
 *      "epoch": "b7Qk2x", "offset": 42, "data": {"content": "Hello"}}
 */
export interface ChatMessageDeliveryFrame {
  /** Always `chat_message`. */
  type: "chat_message";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A stored `channel_message`, as every member sees it, the sender too. */
export interface ChannelMessageDeliveryFrame {
  /** Always `channel_message`. */
  type: "channel_message";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A stored `task_update`, as every member sees it, the sender too. */
export interface TaskUpdateDeliveryFrame {
  /** Always `task_update`. */
  type: "task_update";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A stored `agent_status`, as every member sees it, the sender too. */
export interface AgentStatusDeliveryFrame {
  /** Always `agent_status`. */
  type: "agent_status";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A stored `graph_update`, as every member sees it, the sender too. */
export interface GraphUpdateDeliveryFrame {
  /** Always `graph_update`. */
  type: "graph_update";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/**
 * A stored `direct_message`, as its addressee sees it.
 *
 *     {"type": "direct_message", "id": "d-1", "channel": "@bob", "client_id": "alice", "timestamp": "2026-11-24T09:00:00.125Z",
 *      "epoch": "c1", "offset": 1, "data": {"to": "bob", "content": "For your eyes"}}
 */
export interface DirectMessageDeliveryFrame {
  /** Always `direct_message`. */
  type: "direct_message";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The addressee's inbox: `@client_id`. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A stored `broadcast`, as every connection of the workspace sees it. */
export interface BroadcastDeliveryFrame {
  /** Always `broadcast`. */
  type: "broadcast";
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** Always `*`. */
  channel: string;
  /** When the message was stored: RFC 3339, UTC, milliseconds. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel: 1 for the first, without a gap. A JSON number; parsers also take the decimal string. */
  offset: Int64;
}

/** A message in a history: the frame as it was delivered. */
export interface StoredFrame {
  /** The frame type of the message. */
  type: string;
  /** The very object that the sender sent. */
  data: JsonObject;
  /** The publisher's id for it. */
  id: string;
  /** The channel. */
  channel: string;
  /** When it was stored. */
  timestamp: string;
  /** The sender. */
  client_id: string;
  /** The life of the channel that `offset` counts in. */
  epoch: string;
  /** Its place in the channel. */
  offset: Int64;
}

/** `data` of `history`, as the server answers. */
export interface HistoryData {
  /** The channel. */
  channel: string;
  /** Oldest first. */
  messages: StoredFrame[];
  /** Of the newest message of the channel. */
  epoch: string;
  /** Of the newest message of the channel; 0: none yet. */
  offset: Int64;
  /** There are more after the last one of this page. */
  more: boolean;
  /** False when something before the first one is missing. */
  recovered?: boolean;
  /** Then why: `history_expired` or `epoch_changed`. */
  reason?: string;
}

/**
 * Part of a channel's history.
 *
 *     {"type": "history", "id": "h-1", "channel": "general", "data": {"channel": "general", "messages": [],
 *      "epoch": "b7Qk2x", "offset": 42, "more": false}}
 */
export interface HistoryFrame {
  /** Always `history`. */
  type: "history";
  /** The messages. */
  data: HistoryData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `presence`, as the server answers. */
export interface PresenceData {
  /** The channel. */
  channel: string;
  /** By join time. */
  members: PresenceMember[];
}

/** The members of a channel. */
export interface PresenceFrame {
  /** Always `presence`. */
  type: "presence";
  /** Who they are. */
  data: PresenceData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `presence_update`. */
export interface PresenceUpdateData {
  /** The channel. */
  channel: string;
  /** `join` or `leave`. */
  event: string;
  /** Who came or went. */
  member: PresenceMember;
}

/**
 * A member came or went; for members that asked for presence.
 *
 *     {"type": "presence_update", "channel": "general", "data": {"channel": "general", "event": "join",
 *      "member": {"client_id": "bob", "connection_type": "chat", "joined_at": "2026-11-24T09:00:00.125Z"}}}
 */
export interface PresenceUpdateFrame {
  /** Always `presence_update`. */
  type: "presence_update";
  /** Who, and which way. */
  data: PresenceUpdateData;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `receipt`, as the server answers. */
export interface ReceiptData {
  /** The channel. */
  channel: string;
  /** The life of the channel. */
  epoch: string;
  /** The message. */
  offset: Int64;
  /** Members whose connection it was written to. */
  written: number;
  /** Members that acknowledged it. */
  acknowledged: number;
}

/**
 * How far a message has come.
 *
 *     {"type": "receipt", "id": "r-1", "channel": "general", "data": {"channel": "general", "epoch": "b7Qk2x", "offset": 42,
 *      "written": 3, "acknowledged": 1}}
 */
export interface ReceiptFrame {
  /** Always `receipt`. */
  type: "receipt";
  /** How far. */
  data: ReceiptData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/**
 * A sign of life.
 *
 *     {"type": "pong", "id": "g-1", "data": {"n": 1}}
 */
export interface PongFrame {
  /** Always `pong`. */
  type: "pong";
  /** The data of the `ping`; an empty object when it had none. */
  data: unknown;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of `auth_status`. */
export interface AuthStatusData {
  /** `authenticated`. */
  status: string;
  /** For people. */
  message: string;
}

/**
 * The key of this connection changed or was checked again, and still holds.
 *
 *     {"type": "auth_status", "data": {"status": "authenticated", "message": "Permissions were checked again"}}
 */
export interface AuthStatusFrame {
  /** Always `auth_status`. */
  type: "auth_status";
  /** How things stand. */
  data: AuthStatusData;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/**
 * Debug endpoint only: a frame of an unknown type, or a message frame without a channel, comes back to its sender;
 * `message_delivered` follows.
 *
 *     {"type": "made_up", "id": "e-1", "client_id": "alice", "timestamp": "2026-11-24T09:00:00.125Z", "data": {"x": 1}}
 */
export interface EchoFrame {
  /** Whatever the client sent. */
  type: string;
  /** The very data that the client sent; an empty object when there was none. */
  data: unknown;
  /** As the client sent it. */
  id?: string;
  /** As the client sent it. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The sender, who is also the addressee. */
  client_id?: string;
}

/** `data` of an `error` frame. */
export interface ErrorData {
  /** For people. */
  message: string;
  /** Which row of the table: a name of `ErrorType` in lower case without its prefix. */
  error_type: string;
  /** As HTTP would say it: 400, 401, 403, 404, 408, 409, 413, 429, 500, 503 or 504. */
  code?: number;
  /** When repeating may succeed, in milliseconds. */
  retry_after_ms?: Int64;
  /** More for programs, e.g. `{"safe_to_repeat": true}` or `{"permission": "join:ops"}`. */
  details?: JsonObject;
}

/**
 * One error answers one frame, or none when the server speaks first (a key was revoked).
 *
 *     {"type": "error", "id": "m-7", "data": {"message": "Token expired", "error_type": "token_expired", "code": 403}}
 */
export interface ErrorFrame {
  /** Always `error`. */
  type: "error";
  /** What went wrong. */
  data: ErrorData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** The channel that it is about. */
  channel?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `data` of a `disconnect` frame of the server. */
export interface DisconnectData {
  /** For people; after an error its message. */
  reason: string;
  /** The close code that follows: a value of `CloseCode`. */
  code?: number;
  /** The client may come back by itself. */
  reconnect?: boolean;
  /** When it may come back, in milliseconds, already jittered. */
  retry_after_ms?: Int64;
}

/**
 * The last frame of the server; the close frame with the same code follows.
 *
 *     {"type": "disconnect", "data": {"reason": "Invalid API key", "code": 4000, "reconnect": false}}
 */
export interface DisconnectFrame {
  /** Always `disconnect`. */
  type: "disconnect";
  /** Why, and what the client may do. */
  data: DisconnectData;
  /** Of the frame that is answered; not set when that had none. */
  id?: string;
  /** When the server made the frame: RFC 3339, UTC, milliseconds. */
  timestamp?: string;
  /** The addressee. */
  client_id?: string;
}

/** `error_type` of an `error` frame. The comment gives `code`, `message`, and what then happens to the connection. */
export type ErrorType =
  | "invalid_key"
  | "token_expired"
  | "key_revoked"
  | "key_disabled"
  | "auth_timeout"
  | "permission_denied"
  | "invalid_format"
  | "unknown_type"
  | "not_authenticated"
  | "already_authenticated"
  | "channel_error"
  | "message_error"
  | "rate_limited"
  | "timeout"
  | "unavailable"
  | "server_error";

/** The code of the WebSocket close frame, and of the `disconnect` frame before it. The values are the codes themselves. */
export type CloseCode =
  | 1000
  | 1001
  | 1009
  | 1011
  | 1013
  | 4000
  | 4001
  | 4002
  | 4003;

/** Any frame of a client. */
export type ClientFrame =
  | ConnectFrame
  | JoinChannelFrame
  | LeaveChannelFrame
  | ChatMessageFrame
  | ChannelMessageFrame
  | TaskUpdateFrame
  | AgentStatusFrame
  | GraphUpdateFrame
  | DirectMessageFrame
  | BroadcastFrame
  | AckFrame
  | HistoryRequestFrame
  | PresenceRequestFrame
  | ReceiptRequestFrame
  | PingFrame
  | DisconnectRequestFrame;

/** Any frame of the server; besides, the debug endpoint echoes. */
export type ServerFrame =
  | ConnectionEstablishedFrame
  | ConnectionSuccessFrame
  | MessageDeliveredFrame
  | SubscriptionSuccessFrame
  | UnsubscriptionSuccessFrame
  | ChatMessageDeliveryFrame
  | ChannelMessageDeliveryFrame
  | TaskUpdateDeliveryFrame
  | AgentStatusDeliveryFrame
  | GraphUpdateDeliveryFrame
  | DirectMessageDeliveryFrame
  | BroadcastDeliveryFrame
  | HistoryFrame
  | PresenceFrame
  | PresenceUpdateFrame
  | ReceiptFrame
  | PongFrame
  | AuthStatusFrame
  | ErrorFrame
  | DisconnectFrame;

/** A stored message, as its receivers see it. */
export type DeliveryFrame =
  | ChatMessageDeliveryFrame
  | ChannelMessageDeliveryFrame
  | TaskUpdateDeliveryFrame
  | AgentStatusDeliveryFrame
  | GraphUpdateDeliveryFrame
  | DirectMessageDeliveryFrame
  | BroadcastDeliveryFrame;
