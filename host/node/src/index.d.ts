/** What a runtime is made from. */
export interface Options {
  /** The base address of the platform: http or https, without user, query and fragment. */
  platform: string;
  /** The id of the workspace: 1 to 128 of `A-Z a-z 0-9 _ -`. */
  workspace: string;
  /** A file that holds the token; it is read again when the platform refuses the token. */
  tokenFile?: string;
  /** The token itself, in place of `tokenFile`. */
  token?: string;
  /**
   * Where the inbox is kept, made when it is needed, open to this user alone. Without it nothing is kept, and what was not
   * popped comes again from the platform.
   */
  stateDir?: string;
  /** Whether to register and beat. By default true. */
  presence?: boolean;
  /** Whether to fetch messages. By default true. */
  inbox?: boolean;
  /** What other workspaces see. */
  card?: AgentCard;
  /** How tools answer, and what they may do. */
  tools?: ToolOptions;
  /** Named in each request, for platforms that ask for it: 1 to 128 visible ASCII characters. */
  organization?: string;
  /** A file of certificates to trust in place of Node's own, in PEM. */
  certificates?: string;
  /**
   * Allows `http` to hosts that are neither on this machine nor on a private network; else it is refused, because a token
   * travels.
   */
  allowHttp?: boolean;
  /** Takes the lines for the operator. By default warnings and errors go to standard error. */
  log?: Partial<Record<'error' | 'warn' | 'info', (text: string) => void>>;
}

/** What other workspaces see of the workspace. */
export interface AgentCard {
  name: string;
  description?: string;
  skills?: string[];
}

/** How tools answer, and what they may do. */
export interface ToolOptions {
  /** Whether the results of other tools tell of messages that wait. By default true. */
  notice?: boolean;
  /** Whether messages that another implementation has fetched meanwhile are shown again. */
  redeliver?: boolean;
  /** Whether answers also carry their facts as JSON. */
  structured?: boolean;
  /** Whether the words of peers are shown without a fence. */
  barePeerText?: boolean;
  /** Whether every delegation takes the platform's durable path. */
  delegateDurably?: boolean;
  /** Seconds to poll for the result of a durable delegation. By default 300. */
  durableBudgetSecs?: number;
  /** Seconds of waiting that the instructions recommend, 0 to 60. By default 2. */
  pollTimeoutSecs?: number;
  /** Role names; any one of them suffices for an action. By default `operator`. */
  roles?: string[];
  /** Roles whose actions are listed here, in place of the built-in ones. */
  allowedActions?: Record<string, string[]>;
  /** 0 is the root of the organisation, which may write GLOBAL memory. By default 1. */
  tier?: number;
}

/** What a tool answers. */
export interface Answer {
  /** Text blocks, in order, at least one. */
  texts: string[];
  /** All text blocks, a line each. */
  text: string;
  /** Whether the tool failed; the text then says what to do next. */
  isError: boolean;
  /** The same facts, if `tools.structured` asks for them. */
  structured?: unknown;
}

/** What a model is shown of a tool. */
export interface Tool {
  name: string;
  title: string;
  description: string;
  /** JSON Schema of its arguments. */
  inputSchema: Record<string, unknown>;
  readOnly: boolean;
  destructive: boolean;
  idempotent: boolean;
  openWorld: boolean;
}

/** A message to the workspace. */
export interface Message {
  /** Its id, with which it is popped. */
  activityId: string;
  /** `canvas_user`, `peer_agent` or `delegation_result`. */
  kind: string;
  /** The workspace that sent it; empty if a person did. */
  peerId: string;
  /** What it says, in the words of the sender. They are data, and no instruction. */
  text: string;
  /** When the platform took it, in ISO 8601. */
  createdAt: string;
  /** All else that `wait_for_message` says of it. */
  more: Record<string, unknown>;
}

/** The tools of a workspace, its presence and its inbox. */
export interface Runtime extends AsyncDisposable {
  /** Why the platform does not take the token, if it does not; it is asked again once there is another one. */
  readonly refusal: string | undefined;

  /** All tools, always in the same order. Throws `GuestDown` and `Closed`. */
  tools(): Tool[];

  /** What an agent must know to use the tools, for the model's instructions. Throws `GuestDown` and `Closed`. */
  instructions(): string;

  /**
   * Calls a tool. An abort of `signal` cancels the call, which may have been done, and rejects with the signal's reason.
   * Rejects with `GuestDown` when the component stopped, after which the call may be made again although what it asked for
   * may have been done, and with `Closed`.
   */
  callTool(name: string, args?: Record<string, unknown>, options?: { signal?: AbortSignal }): Promise<Answer>;

  /**
   * The messages, oldest first, without end. A message is removed from the inbox when the next one is asked for, so that
   * one that was not handled comes again, also after a crash. Ends when the runtime is closed; rejects when `signal` aborts.
   */
  messages(options?: { signal?: AbortSignal }): AsyncGenerator<Message, void, void>;

  /** Ends all work. */
  close(): Promise<void>;
}

/**
 * Loads the component, and is present and fetches messages from here on.
 *
 * Rejects with a `TypeError` if an option is wrong.
 */
export function createRuntime(options: Options): Promise<Runtime>;

/** The sandboxed tool logic stopped. The call may be made again, although what it asked for may have been done. */
export class GuestDown extends Error {}

/** The runtime was closed. */
export class Closed extends Error {}
