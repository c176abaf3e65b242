/**
 * Operations that Calendly has and the sandbox does not. They answer 501 and say so: as a 404 they could
 * not be told from a row that is missing.
 */

/** By area of Calendly's API; a path's `:name` stands for any segment. */
export const MISSING_OPERATIONS: [method: string, path: string][] = [
  // Booking through the API
  ["POST", "/invitees"],
  ["GET", "/event_type_available_times"],
  ["POST", "/scheduling_links"],
  ["POST", "/shares"],
  // Event types
  ["POST", "/event_types"],
  ["PATCH", "/event_types/:uuid"],
  ["POST", "/one_off_event_types"],
  ["GET", "/event_type_memberships"],
  ["GET", "/event_type_availability_schedules"],
  ["PATCH", "/event_type_availability_schedules"],
  // Availability of users
  ["GET", "/user_availability_schedules"],
  ["GET", "/user_availability_schedules/:uuid"],
  ["GET", "/user_busy_times"],
  ["GET", "/locations"],
  // Organizations
  ["GET", "/organizations/:organization/invitations"],
  ["POST", "/organizations/:organization/invitations"],
  ["GET", "/organizations/:organization/invitations/:uuid"],
  ["DELETE", "/organizations/:organization/invitations/:uuid"],
  ["DELETE", "/organization_memberships/:uuid"],
  ["GET", "/group_relationships"],
  ["GET", "/group_relationships/:uuid"],
  ["GET", "/activity_log_entries"],
  ["GET", "/outgoing_communications"],
  // Routing forms
  ["GET", "/routing_forms"],
  ["GET", "/routing_forms/:uuid"],
  ["GET", "/routing_form_submissions"],
  ["GET", "/routing_form_submissions/:uuid"],
  // Contacts and meeting recaps
  ["GET", "/contacts"],
  ["POST", "/contacts"],
  ["GET", "/contacts/:uuid"],
  ["PATCH", "/contacts/:uuid"],
  ["DELETE", "/contacts/:uuid"],
  ["GET", "/meeting_recaps"],
  ["GET", "/meeting_recaps/:uuid"],
  ["GET", "/meeting_recaps/:uuid/transcript"],
  // Data compliance
  ["POST", "/data_compliance/deletion/invitees"],
  ["POST", "/data_compliance/deletion/events"],
];
