// One channel of a client, with its name left out of every call.

import type { TidewireClient, HistoryOptions, PublishOptions, Receipt } from "./client.js";
import type { HistoryPage, Message } from "./codec.js";
import type { Listener } from "./emitter.js";
import type { JsonObject, PresenceMember, PresenceUpdateData } from "./frames.js";
import type { JoinOptions } from "./memberships.js";
import type { Delivery } from "./outgoing.js";
import type { Joined } from "./subscription.js";
import type { Position } from "./tracker.js";

export class Channel {
  constructor(
    private readonly client: TidewireClient,
    readonly name: string,
  ) {}

  join(options?: JoinOptions): Promise<Joined> {
    return this.client.join(this.name, options);
  }

  leave(): Promise<void> {
    return this.client.leave(this.name);
  }

  publish(data: JsonObject, options?: PublishOptions): Promise<Delivery> {
    return this.client.publish(this.name, data, options);
  }

  history(options?: HistoryOptions): Promise<HistoryPage> {
    return this.client.history(this.name, options);
  }

  presence(): Promise<PresenceMember[]> {
    return this.client.presence(this.name);
  }

  receipt(offset: number): Promise<Receipt> {
    return this.client.receipt(this.name, offset);
  }

  ack(position?: Position): void {
    this.client.ack(this.name, position);
  }

  get position(): Position | undefined {
    return this.client.position(this.name);
  }

  /** Call `listener` with each message of the channel; return what ends that. */
  onMessage(listener: Listener<Message>): () => void {
    return this.client.on("message", (message) => {
      if (message.channel === this.name) listener(message);
    });
  }

  /** Call `listener` when somebody comes or goes, if it was joined with `presence`; return what ends that. */
  onPresence(listener: Listener<PresenceUpdateData>): () => void {
    return this.client.on("presence", (update) => {
      if (update.channel === this.name) listener(update);
    });
  }
}
