import { render, screen } from "@testing-library/svelte";
import { describe, expect, test, vi } from "vitest";
import { TidewireError } from "tidewire-client";
import ConnectionStatus from "$lib/components/shared/ConnectionStatus.svelte";
import { INITIAL, type WebSocketState } from "$lib/stores/websocket";

function show(state: Partial<WebSocketState>, onretry?: () => void): void {
  render(ConnectionStatus, { state: { ...INITIAL, ...state }, ...(onretry && { onretry }) });
}

const text = (id: string): string | null | undefined => screen.queryByTestId(id)?.textContent;

describe("what is shown", () => {
  test("at first", () => {
    show({});
    expect(text("connection-status")).toBe("Disconnected");
    expect(text("auth-status")).toBe("Not Authenticated");
    expect(screen.queryByTestId("error-message")).toBeNull();
    expect(screen.queryByTestId("reconnect-info")).toBeNull();
  });

  test("authenticated", () => {
    show({ connection: "Connected", auth: "Authenticated" });
    expect(text("connection-status")).toBe("Connected");
    expect(text("auth-status")).toBe("Authenticated");
  });

  test("reconnecting: attempts, the wait and the reason", () => {
    const error = new TidewireError("connection_lost", "The connection ended");
    show({ connection: "Reconnecting", reconnectAttempts: 3, retryInMs: 1_210, error });
    expect(text("reconnect-info")).toBe("Reconnection attempts: 3");
    expect(screen.getByText("next within 1.3 s")).toBeTruthy();
    expect(text("error-message")).toBe("The connection ended");
  });

  test("an error with its details", () => {
    const error = new TidewireError("permission_denied", "Missing permission: connect:chat", {
      code: 403,
      details: { permission: "connect:chat" },
    });
    show({ connection: "Error", error });
    expect(text("error-message")).toBe("Missing permission: connect:chat");
    expect(text("error-details")).toBe('permission_denied · code 403 · {"permission":"connect:chat"}');
  });
});

test("the state is a live region, an error an alert, the number of attempts neither", () => {
  show({ connection: "Reconnecting", reconnectAttempts: 1, error: new TidewireError("no_answer", "No answer") });
  expect(screen.getByRole("status").textContent).toContain("Reconnecting");
  expect(screen.getByRole("alert").textContent).toContain("No answer");
  expect(screen.getByTestId("reconnect-info").closest("[role]")).toBeNull();
});

test("trying again is offered when it makes sense", () => {
  const retry = vi.fn();
  show({ connection: "Error" }, retry);
  screen.getByRole("button", { name: "Try now" }).click();
  expect(retry).toHaveBeenCalledOnce();
});

test.each(["Connected", "Connecting", "Disconnected"] as const)("%s: nothing to try again", (connection) => {
  show({ connection }, () => undefined);
  expect(screen.queryByRole("button")).toBeNull();
});
