/**
 * A stand-in of Supabase's Management API on loopback, as far as the Supabase CLI uses it for one project.
 * The CLI finds it by `environment`. It notes every request, and can refuse in the ways of the real one.
 */
import postgres from "postgres";
import { HostedProject, type Upload } from "./hosted_project.ts";

/** Whether it is to change something. */
export function isChange({ method, path, body }: NotedRequest): boolean {
  return method !== "GET" &&
    !(path === "/database/query" && (body as { read_only?: boolean }).read_only);
}

export interface NotedRequest {
  method: string;
  /** Without the project's part: `/functions`, `/database/query`. */
  path: string;
  /** JSON as it came; for an upload the names of its files. */
  body: unknown;
}

/** Answers of the real API, or of what stands in its way. */
const REFUSALS = {
  unauthorized: () => Response.json({ message: "Unauthorized" }, { status: 401 }),
  forbidden: () =>
    Response.json({
      message: "Your account does not have the necessary privileges to access this endpoint. " +
        "For more details, refer to our documentation https://supabase.com/docs/guides/platform/access-control",
    }, { status: 403 }),
  broken: () => Response.json({ message: "Internal server error" }, { status: 500 }),
  html: () =>
    new Response("<!doctype html><html><title>Sign in to the network</title></html>", {
      headers: { "content-type": "text/html" },
    }),
};

type Refusal = keyof typeof REFUSALS;

/** What the CLI shows of a deployed function. */
interface FunctionRecord {
  id: string;
  slug: string;
  name: string;
  status: "ACTIVE";
  version: number;
  created_at: number;
  updated_at: number;
  verify_jwt: boolean;
  import_map: boolean;
  entrypoint_path: string;
  import_map_path: string;
  ezbr_sha256: string;
}

export class ManagementApi implements AsyncDisposable {
  readonly requests: NotedRequest[] = [];
  /**
   * Called before a request is carried out, and after it, before it is answered. "dropped": it is not carried
   * out.
   */
  onRequest: (request: NotedRequest, when: "before" | "after") => void | "dropped" = () => {};
  /** Whether the database takes no writes, as one whose disk is full. */
  isReadOnly = false;
  /** Whether what only reads is not refused. */
  refuseOnlyChanges = false;
  #refusals: { refusal: Refusal; path: RegExp; method?: string }[] = [];
  #records = new Map<string, FunctionRecord>();
  /** Bundles that were made and not yet put in place. */
  #bundles = new Map<string, Upload>();
  #server: Deno.HttpServer<Deno.NetAddr>;
  #home = Deno.makeTempDirSync({ prefix: "supabase-home-" });

  constructor(readonly project: HostedProject) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#answer(request),
    );
    Deno.writeTextFileSync(
      `${this.#home}/profile.yaml`,
      `name: tests
api_url: ${this.url}
dashboard_url: ${this.url}
docs_url: ${this.url}
project_host: localhost
`,
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** What a shell has in which the CLI is signed in and talks to this server. */
  get environment(): Record<string, string> {
    return {
      HOME: this.#home,
      PATH: Deno.env.get("PATH")!,
      SUPABASE_PROFILE: `${this.#home}/profile.yaml`,
      SUPABASE_ACCESS_TOKEN: `sbp_${"0123456789".repeat(4)}`,
      SUPABASE_TELEMETRY_DISABLED: "1",
      NO_COLOR: "1",
    };
  }

  /** From now on refuses requests for such paths. */
  refuse(refusal: Refusal, path = /./, method?: string): void {
    this.#refusals.push({ refusal, path, method });
  }

  /** Refuses nothing any more. */
  accept(): void {
    this.#refusals = [];
    this.refuseOnlyChanges = false;
    this.isReadOnly = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.#home, { recursive: true });
  }

  async #answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname.replace(/^\/v1/, "")
      .replace(`/projects/${this.project.ref}`, "") || "/";
    const isUpload = request.headers.get("content-type")?.startsWith("multipart/");
    const form = isUpload ? await request.formData() : undefined;
    const text = form ? "" : await request.text();
    const noted: NotedRequest = {
      method: request.method,
      path,
      body: form ? uploadedFiles(form).map(({ name }) => name) : text && JSON.parse(text),
    };
    this.requests.push(noted);
    if (this.onRequest(noted, "before") === "dropped") return REFUSALS.broken();
    const refused = this.#refusals.find((entry) =>
      entry.path.test(path) && (entry.method ?? request.method) === request.method &&
      (isChange(noted) || !this.refuseOnlyChanges)
    );
    if (refused) return REFUSALS[refused.refusal]();
    const response = await this.#execute(noted, new URL(request.url).searchParams, form);
    this.onRequest(noted, "after");
    return response;
  }

  async #execute(
    { method, path, body }: NotedRequest,
    query: URLSearchParams,
    form?: FormData,
  ): Promise<Response> {
    const { project } = this;
    switch (`${method} ${path.replace(/^\/functions\/(?!deploy$).+/, "/functions/*")}`) {
      case "GET /projects":
        return Response.json([this.#describeProject()]);
      case "GET /":
        return Response.json(this.#describeProject());
      case "GET /api-keys":
        return Response.json(this.#listKeys(query.get("reveal") === "true"));
      case "GET /functions":
        return Response.json([...this.#records.values()]);
      case "POST /functions/deploy":
        return Response.json(await this.#upload(form!, query), { status: 201 });
      case "PUT /functions":
        return Response.json({ functions: await this.#activate(body as FunctionRecord[]) });
      case "DELETE /functions/*": {
        const slug = path.slice("/functions/".length);
        this.#records.delete(slug);
        return await project.remove(slug)
          ? new Response(null, { status: 200 })
          : Response.json({ message: "Function not found" }, { status: 404 });
      }
      case "GET /secrets":
        return Response.json(await this.#listSecrets());
      case "POST /secrets": {
        const pairs = (body as { name: string; value: string }[])
          .map(({ name, value }) => [name, value]);
        await project.setSecrets(Object.fromEntries(pairs));
        return new Response(null, { status: 201 });
      }
      case "DELETE /secrets":
        await project.setSecrets(
          Object.fromEntries((body as string[]).map((name) => [name, undefined])),
        );
        return new Response(null, { status: 200 });
      case "POST /database/query":
        return await this.#query(body as { query: string; read_only?: boolean });
      default:
        return Response.json({ message: `Cannot ${method} ${path}` }, { status: 404 });
    }
  }

  #describeProject() {
    const { ref } = this.project;
    return {
      id: ref,
      ref,
      name: "Test project",
      organization_id: "test-organization",
      organization_slug: "test-organization",
      region: "eu-central-1",
      created_at: "2026-11-01T00:00:00Z",
      status: "ACTIVE_HEALTHY",
      database: {
        host: `db.${ref}.supabase.co`,
        version: "17.11.0.018",
        postgres_engine: "17",
        release_channel: "ga",
      },
    };
  }

  #listKeys(reveal: boolean) {
    const { publishableKey, secretKey } = this.project.keys;
    const shown = reveal ? secretKey : `${secretKey.slice(0, 15)}···`;
    return [
      { id: "1", type: "publishable", name: "default", prefix: "", api_key: publishableKey },
      { id: "2", type: "secret", name: "default", prefix: secretKey.slice(0, 15), api_key: shown },
    ];
  }

  /** With `bundleOnly` the function is put in place by a later request. */
  async #upload(form: FormData, query: URLSearchParams): Promise<FunctionRecord> {
    const slug = query.get("slug")!;
    const metadata = JSON.parse(form.get("metadata") as string);
    const files = new Map<string, Uint8Array>();
    for (const file of uploadedFiles(form)) {
      files.set(file.name, new Uint8Array(await file.arrayBuffer()));
    }
    const known = this.#records.get(slug);
    const record: FunctionRecord = {
      id: known?.id ?? crypto.randomUUID(),
      slug,
      name: metadata.name,
      status: "ACTIVE",
      version: (known?.version ?? 0) + 1,
      created_at: known?.created_at ?? Date.now(),
      updated_at: Date.now(),
      verify_jwt: metadata.verify_jwt,
      import_map: metadata.import_map_path !== "",
      entrypoint_path: metadata.entrypoint_path,
      import_map_path: metadata.import_map_path,
      ezbr_sha256: await sha256(
        [...files].map(([path, bytes]) => `${path}\n${new TextDecoder().decode(bytes)}`).join("\n"),
      ),
    };
    this.#bundles.set(slug, {
      files,
      entrypoint: metadata.entrypoint_path,
      verifyJwt: metadata.verify_jwt,
    });
    if (query.get("bundleOnly") !== "true") await this.#activate([record]);
    return record;
  }

  async #activate(records: FunctionRecord[]): Promise<FunctionRecord[]> {
    for (const record of records) {
      await this.project.deploy(record.slug, this.#bundles.get(record.slug)!);
      this.#records.set(record.slug, record);
    }
    return records;
  }

  async #listSecrets() {
    return await Promise.all([...this.project.secrets].map(async ([name, value]) => ({
      name,
      value: await sha256(value),
      updated_at: "2026-11-01T00:00:00Z",
    })));
  }

  /** As `postgres`, or as the platform's role that may only read; in a session of its own. */
  async #query({ query, read_only = false }: { query: string; read_only?: boolean }) {
    if (read_only) await this.project.database.query(READ_ONLY_ROLE);
    const sql = postgres(this.project.database.url, {
      max: 1,
      onnotice: () => {},
      connection: {
        role: read_only ? "supabase_read_only_user" : "postgres",
        default_transaction_read_only: read_only || this.isReadOnly,
      },
    });
    try {
      const result = await sql.unsafe(query).simple() as unknown as Result | Result[];
      // Of several statements, the last one that gave rows.
      const results = isSeveral(result) ? result : [result];
      return Response.json(results.findLast((rows) => rows.length > 0) ?? [], { status: 201 });
    } catch (error) {
      if (!(error instanceof postgres.PostgresError)) throw error;
      const { code, message, detail, hint, where } = error;
      const lines = [
        `Failed to run sql query: ERROR:  ${code}: ${message}`,
        detail && `DETAIL:  ${detail}`,
        hint && `HINT:  ${hint}`,
        where && `CONTEXT:  ${where}`,
      ];
      return Response.json({ message: lines.filter(Boolean).join("\n") + "\n" }, { status: 400 });
    } finally {
      await sql.end();
    }
  }
}

type Result = Record<string, unknown>[];

function isSeveral(result: Result | Result[]): result is Result[] {
  return Array.isArray(result[0]);
}

const READ_ONLY_ROLE = `do $$
begin
  if not exists (select from pg_roles where rolname = 'supabase_read_only_user') then
    create role supabase_read_only_user login bypassrls;
    grant pg_read_all_data to supabase_read_only_user;
  end if;
exception
  -- Roles belong to the whole cluster: another test may make it at this very moment.
  when duplicate_object or unique_violation then null;
end
$$`;

function uploadedFiles(form: FormData): File[] {
  return form.getAll("file").filter((part) => part instanceof File);
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
