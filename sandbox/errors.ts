/** The two kinds of refusal: Calendly's own bodies, and the sandbox's for its control API. */

/** What the caller of the control API did wrong: a code, a sentence and where to look. */
export class SandboxError extends Error {
  constructor(readonly code: string, message: string, readonly hint?: string) {
    super(message);
  }
}

/** An answer that ends a request to the public API: Calendly's status and body. */
export class ApiError extends Error {
  constructor(readonly status: number, readonly body: Record<string, unknown>) {
    super(String(body.message ?? body.title));
  }
}

export interface Detail {
  parameter?: string;
  message: string;
}

export function invalid(...details: Detail[]): ApiError {
  return new ApiError(400, {
    title: "Invalid Argument",
    message: "The supplied parameters are invalid.",
    ...(details.length > 0 && { details }),
  });
}

export function unauthenticated(reason: "is invalid" | "expired" | "was revoked"): ApiError {
  return new ApiError(401, { title: "Unauthenticated", message: `The access token ${reason}` });
}

export function denied(
  message = "You do not have permission to access this resource.",
): ApiError {
  return new ApiError(403, { title: "Permission Denied", message });
}

export function insufficientScope(required: string[]): ApiError {
  return new ApiError(403, { title: "Insufficient scope", required_scopes: required });
}

export function notFound(): ApiError {
  return new ApiError(404, {
    title: "Resource Not Found",
    message: "The server could not find the requested resource.",
  });
}

export function alreadyExists(message: string): ApiError {
  return new ApiError(409, { title: "Already Exists", message });
}

/** What Calendly can and the sandbox cannot. Calendly itself never answers 501. */
export function notSimulated(what: string): ApiError {
  return new ApiError(501, {
    title: "Not Implemented",
    message: `The sandbox has no ${what}: only the real Calendly does.`,
  });
}

export function tooManyRequests(): ApiError {
  return new ApiError(429, {
    title: "Too Many Requests",
    message: "You have exceeded the rate limit. Please try again later.",
  });
}
