// The types that the page's scripts name: the API's, out of its OpenAPI document, and a few of the page's own.

import type { components, paths } from "../../../.trombi/api";
import type { Words } from "../../../shared/languages/words";
import type { Refusal } from "./web/api";
import type { openDialog } from "./web/dialog";

type Schemas = components["schemas"];
export type ConsentBody = Schemas["ConsentBody"];
export type DecisionInHistory = Schemas["DecisionInHistory"];
export type EventState = Schemas["EventState"];
export type Face = Schemas["ShownFace"];
export type FaceOfNobody = Schemas["FaceOfNobody"];
export type Box = Schemas["Box"];
export type Invitation = Schemas["OpenInvitation"];
export type InvitationAnswer = Schemas["Answered"];
export type Member = Schemas["ShownMember"];
export type PersonState = Schemas["PersonState"];
export type Problem = Schemas["ProblemDetails"];
export type Progress = Schemas["Progress"];
export type Question = Schemas["SuggestionPage"]["items"][number];
export type ShownEvent = Schemas["ShownEvent"];
/** Merged persons are in no list. */
export type Status = Exclude<Schemas["PersonState"]["status"], "merged">;
export type ShownPerson = Schemas["ShownPerson"];
export type Person = Omit<ShownPerson, "status"> & { status: Status };

/** What `POST` routes of decisions are sent. */
export type Bodies = Schemas;
/** What they answer: an undo tells the ids alone, an invitation its link as well. */
export type DecisionAnswer = Partial<Schemas["DecidedAnswer"]> & { decision_id: string; invitation?: Schemas["MadeInvitation"] };

// ---------------------------------------------------------------- answers by path

type WithoutQuery<Path extends string> = Path extends `${infer Bare}?${string}` ? Bare : Path;
type Segments<Path extends string> = Path extends `${infer Head}/${infer Rest}` ? [Head, ...Segments<Rest>] : [Path];
type Pattern<Parts extends string[]> = { [At in keyof Parts]: Parts[At] extends `{${string}}` ? string : Parts[At] };
/** The key of `paths` that an address, as `/person/${string}/faces?limit=100`, belongs to. */
type Route<Path extends string> = {
  [Key in keyof paths & string]: Segments<WithoutQuery<Path>> extends Pattern<Segments<Key>> ? Key : never;
}[keyof paths & string];
type Json<Responses> = Responses extends { 200: { content: { "application/json": infer Answer } } }
  ? Answer
  : Responses extends { 202: { content: { "application/json": infer Answer } } }
    ? Answer
    : unknown;
/** What a request of an address is answered; `unknown` for addresses that are not known before. */
export type Answer<Method extends "get" | "post" | "put", Path extends string> = string extends Path
  ? unknown
  : paths[Route<Path>][Method] extends { responses: infer Responses }
    ? Json<Responses>
    : never;
/** The items of a list that comes in pages. */
export type Items<Path extends string> = Answer<"get", Path> extends { items: (infer Item)[] } ? Item : never;

// ---------------------------------------------------------------- the page

export type Child = Node | string | null | undefined | false;
type Handlers = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => unknown };
/** See `el` of dom.js. */
export interface Properties {
  class?: string;
  data?: Record<string, string | number>;
  on?: Handlers;
  [name: string]: unknown;
}
export type Dialog = ReturnType<typeof openDialog>;

/** What is shown below the header. */
export interface View {
  readonly title: string;
  readonly element: HTMLElement;
  readonly heading: HTMLElement;
  enter(): void;
  leave(): void;
  /** A letter was typed; true when it meant something. */
  key(event: KeyboardEvent): boolean;
}

export type StateName = keyof Words["states"];
export type Persons = Map<string, Person>;

/** What is decided, before anybody is told: see `decide` of review.js. */
export interface Draft {
  kind: keyof Words["did"];
  about?: string | null;
  path: () => string;
  body: () => object;
  show?: (persons: Persons) => void;
  told?: (words: Words) => string;
  undoable?: boolean;
  alsoChanges?: string[];
  undoes?: Decision;
  faces?: string[];
  question?: Question;
  user?: Pick<Member, "id" | "display_name" | "email">;
  guest?: Guest;
}
/** A draft that the page tells of. */
export type ToldDraft = Draft & { told: (words: Words) => string };
export interface Guest {
  email: string;
  message: string;
  language?: Bodies["InviteGuest"]["language"];
  again?: boolean;
}
export interface Decision extends Draft {
  about: string | null;
  show: (persons: Persons) => void;
  undoable: boolean;
  key: string;
  sent: boolean;
  request?: object;
  answer?: DecisionAnswer;
  /** The persons as they were shown before it. */
  before: Persons;
  done: Promise<DecisionAnswer>;
  resolve: (answer: DecisionAnswer) => void;
  reject: (error: unknown) => void;
}

export type Trouble = "offline" | "signed-out" | "busy" | null;
export interface ReviewEvents {
  change: Event;
  decided: CustomEvent<Decision>;
  settled: CustomEvent<Decision>;
  undone: CustomEvent<Decision>;
  refused: CustomEvent<{ decision: Decision; error: Refusal }>;
  trouble: CustomEvent<{ trouble: Trouble; before: Trouble }>;
}
export interface ProgressEvents {
  change: Event;
  persons: Event;
  refused: CustomEvent<Refusal>;
}
/** An EventTarget of which the events are known. */
export interface Emitter<Events> {
  addEventListener<Name extends keyof Events & string>(type: Name, listener: (event: Events[Name]) => void): void;
  removeEventListener<Name extends keyof Events & string>(type: Name, listener: (event: Events[Name]) => void): void;
  dispatchEvent(event: Event): boolean;
}
