/** Users, organizations, memberships, groups and event types. */
import { denied, invalid } from "../errors.ts";
import { EventType, uri } from "../resources.ts";
import { membershipRow } from "../serialize.ts";
import { page } from "./paging.ts";
import {
  booleanParameter,
  found,
  Handler,
  oneOf,
  requireMember,
  resource,
  sortParameter,
  uriParameter,
} from "./request.ts";

const ROLES = ["owner", "admin", "user"] as const;

export const getUser: Handler = (request) => {
  const { world, user: caller, params } = request;
  if (params.uuid === "me") return resource(caller);
  const user = found(world.users.get(uri("users", params.uuid)));
  if (world.role(user.uri, caller.current_organization) === null) throw denied();
  return resource(user);
};

export const getOrganization: Handler = (request) => {
  const organization = found(
    request.world.organizations.get(uri("organizations", request.params.uuid)),
  );
  requireMember(request, organization.uri);
  return resource(organization);
};

export const listMemberships: Handler = (request) => {
  const { world, query, user: caller } = request;
  const user = uriParameter("user", query.get("user"), "users");
  const organization = uriParameter("organization", query.get("organization"), "organizations");
  const role = oneOf("role", query.get("role"), ROLES);
  const email = query.get("email")?.toLowerCase();
  if (user === null && organization === null) {
    throw invalid({ message: "one of user or organization must be given" });
  }
  const outside = (organization !== null && world.role(caller.uri, organization) === null) ||
    (user !== null && world.role(user, caller.current_organization) === null);
  if (outside) throw denied("This user is not in your organization");
  const rows = [...world.memberships.values()]
    .filter((membership) =>
      (user === null || membership.user === user) &&
      (organization === null || membership.organization === organization) &&
      (role === null || membership.role === role) &&
      (email === undefined || world.user(membership.user).email.toLowerCase() === email)
    )
    .map((membership) => ({ key: `${membership.created_at} ${membership.uri}`, membership }))
    .sort(byKey);
  return page(request, { rows, serialize: (row) => membershipRow(world, row.membership) });
};

export const getMembership: Handler = (request) => {
  const membership = found(
    request.world.memberships.get(uri("organization_memberships", request.params.uuid)),
  );
  if (membership.organization !== request.user.current_organization) {
    throw denied("This user is not in your organization");
  }
  return resource(membershipRow(request.world, membership));
};

export const listGroups: Handler = (request) => {
  const organization = requiredOrganization(request);
  const rows = [...request.world.groups.values()]
    .filter((group) => group.resource.organization === organization)
    .map((group) => ({ key: `${group.resource.created_at} ${group.resource.uri}`, group }))
    .sort(byKey);
  return page(request, { rows, serialize: (row) => row.group.resource });
};

export const getGroup: Handler = (request) => {
  const group = found(request.world.groups.get(uri("groups", request.params.uuid)));
  requireMember(request, group.resource.organization);
  return resource(group.resource);
};

export const listEventTypes: Handler = (request) => {
  const { world, query, user: caller } = request;
  const user = uriParameter("user", query.get("user"), "users");
  const organization = uriParameter("organization", query.get("organization"), "organizations");
  const active = booleanParameter(query, "active");
  const adminManaged = booleanParameter(query, "admin_managed");
  const { field, descending } = sortParameter(query, [
    "name",
    "position",
    "created_at",
    "updated_at",
  ]);
  if (user === null && organization === null) {
    throw invalid({ message: "one of user or organization must be given" });
  }
  if (organization !== null) {
    requireMember(request, organization);
    if (!world.manages(caller.uri, organization)) throw denied("You do not have permission");
  }
  if (user !== null && user !== caller.uri) {
    const { current_organization } = caller;
    if (world.role(user, current_organization) === null) {
      throw denied("This user is not in your organization");
    }
    if (!world.manages(caller.uri, current_organization)) {
      throw denied("You do not have permission");
    }
  }
  const rows = [...world.eventTypes.values()]
    .filter(({ resource, hosts, organization: owner }) =>
      resource.deleted_at === null &&
      (user === null || hosts.includes(user)) &&
      (organization === null || owner === organization) &&
      (active === null || resource.active === active) &&
      (adminManaged === null || resource.admin_managed === adminManaged)
    )
    .map(({ resource }) => ({ key: `${sortKey(resource, field)} ${resource.uri}`, resource }))
    .sort(byKey);
  return page(request, { rows, descending, serialize: (row) => row.resource });
};

/** Also a deleted one: events go on pointing to it. */
export const getEventType: Handler = (request) => {
  const { resource: eventType, organization } = found(
    request.world.eventTypes.get(uri("event_types", request.params.uuid)),
  );
  requireMember(request, organization);
  return resource(eventType);
};

function requiredOrganization(request: Parameters<Handler>[0]): string {
  const organization = uriParameter(
    "organization",
    request.query.get("organization"),
    "organizations",
  );
  if (organization === null) throw invalid({ parameter: "organization", message: "is required" });
  requireMember(request, organization);
  return organization;
}

function sortKey(
  eventType: EventType,
  field: "name" | "position" | "created_at" | "updated_at",
): string {
  if (field === "position") return String(eventType.position).padStart(8, "0");
  return eventType[field] ?? "";
}

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
