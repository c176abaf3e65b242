// Made by `deno task types` from the migrations. Not edited by hand.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  "public": {
    Tables: {
      "calendly_connections": {
        Row: {
          "calendly_organization_uri": string | null;
          "calendly_user_uri": string;
          "connected_at": string;
          "created_at": string;
          "current_as_of": string | null;
          "failures": number;
          "id": string;
          "last_error": Json | null;
          "last_full_sync_at": string | null;
          "members": string;
          "next_sync_at": string | null;
          "rate_limit": number | null;
          "rate_remaining": number | null;
          "rate_resets_at": string | null;
          "refusals": number;
          "scope": string;
          "state": string;
          "updated_at": string;
          "user_id": number;
          "webhook_error": Json | null;
          "webhook_state": string;
          "webhooks_checked_at": string | null;
          "webhooks_lost_at": string | null;
          "webhooks_unseen_since": string | null;
          "webhooks_wanted": boolean;
        };
        ComputedFields: never;
        Insert: {
          "calendly_organization_uri"?: string | null;
          "calendly_user_uri": string;
          "connected_at": string;
          "created_at": string;
          "current_as_of"?: string | null;
          "failures"?: number;
          "id": string;
          "last_error"?: Json | null;
          "last_full_sync_at"?: string | null;
          "members"?: string;
          "next_sync_at"?: string | null;
          "rate_limit"?: number | null;
          "rate_remaining"?: number | null;
          "rate_resets_at"?: string | null;
          "refusals"?: number;
          "scope"?: string;
          "state"?: string;
          "updated_at": string;
          "user_id": number;
          "webhook_error"?: Json | null;
          "webhook_state"?: string;
          "webhooks_checked_at"?: string | null;
          "webhooks_lost_at"?: string | null;
          "webhooks_unseen_since"?: string | null;
          "webhooks_wanted"?: boolean;
        };
        Update: {
          "calendly_organization_uri"?: string | null;
          "calendly_user_uri"?: string;
          "connected_at"?: string;
          "created_at"?: string;
          "current_as_of"?: string | null;
          "failures"?: number;
          "id"?: string;
          "last_error"?: Json | null;
          "last_full_sync_at"?: string | null;
          "members"?: string;
          "next_sync_at"?: string | null;
          "rate_limit"?: number | null;
          "rate_remaining"?: number | null;
          "rate_resets_at"?: string | null;
          "refusals"?: number;
          "scope"?: string;
          "state"?: string;
          "updated_at"?: string;
          "user_id"?: number;
          "webhook_error"?: Json | null;
          "webhook_state"?: string;
          "webhooks_checked_at"?: string | null;
          "webhooks_lost_at"?: string | null;
          "webhooks_unseen_since"?: string | null;
          "webhooks_wanted"?: boolean;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_connections_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: true;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_connections_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: true;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "calendly_invitees": {
        Row: {
          "calendly_created_at": string | null;
          "calendly_updated_at": string | null;
          "created_at": string;
          "email": string | null;
          "id": number;
          "meeting_id": number;
          "name": string | null;
          "new_invitee": string | null;
          "no_show_at": string | null;
          "no_show_known_at": string | null;
          "no_show_uri": string | null;
          "old_invitee": string | null;
          "payment": Json | null;
          "questions_and_answers": Json | null;
          "raw": NonNullable<Json>;
          "rescheduled": boolean;
          "status": string;
          "timezone": string | null;
          "tracking": Json | null;
          "updated_at": string;
          "uri": string;
          "user_id": number;
        };
        ComputedFields: never;
        Insert: {
          "calendly_created_at"?: string | null;
          "calendly_updated_at"?: string | null;
          "created_at": string;
          "email"?: string | null;
          "id"?: never;
          "meeting_id": number;
          "name"?: string | null;
          "new_invitee"?: string | null;
          "no_show_at"?: string | null;
          "no_show_known_at"?: string | null;
          "no_show_uri"?: string | null;
          "old_invitee"?: string | null;
          "payment"?: Json | null;
          "questions_and_answers"?: Json | null;
          "raw": NonNullable<Json>;
          "rescheduled": boolean;
          "status": string;
          "timezone"?: string | null;
          "tracking"?: Json | null;
          "updated_at": string;
          "uri": string;
          "user_id": number;
        };
        Update: {
          "calendly_created_at"?: string | null;
          "calendly_updated_at"?: string | null;
          "created_at"?: string;
          "email"?: string | null;
          "id"?: never;
          "meeting_id"?: number;
          "name"?: string | null;
          "new_invitee"?: string | null;
          "no_show_at"?: string | null;
          "no_show_known_at"?: string | null;
          "no_show_uri"?: string | null;
          "old_invitee"?: string | null;
          "payment"?: Json | null;
          "questions_and_answers"?: Json | null;
          "raw"?: NonNullable<Json>;
          "rescheduled"?: boolean;
          "status"?: string;
          "timezone"?: string | null;
          "tracking"?: Json | null;
          "updated_at"?: string;
          "uri"?: string;
          "user_id"?: number;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_invitees_meeting_id_user_id_fkey";
            columns: ["meeting_id", "user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_meetings";
            referencedColumns: ["id", "user_id"];
          },
          {
            foreignKeyName: "calendly_invitees_meeting_id_user_id_fkey";
            columns: ["meeting_id", "user_id"];
            isOneToOne: false;
            referencedRelation: "meetings";
            referencedColumns: ["id", "user_id"];
          },
          {
            foreignKeyName: "calendly_invitees_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_invitees_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "calendly_meetings": {
        Row: {
          "calendly_created_at": string | null;
          "calendly_event_uri": string | null;
          "calendly_updated_at": string | null;
          "cancellation": Json | null;
          "created_at": string | null;
          "deleted_at": string | null;
          "deleted_reason": string | null;
          "end_time": string | null;
          "event_type_uri": string | null;
          "id": number;
          "is_deleted": boolean;
          "join_url": string | null;
          "location": string | null;
          "location_type": string | null;
          "name": string | null;
          "raw": Json | null;
          "rescheduled_from": string | null;
          "rescheduled_to": string | null;
          "start_time": string | null;
          "status": string | null;
          "synced_via_webhook": boolean;
          "updated_at": string | null;
          "user_id": number;
        };
        ComputedFields: never;
        Insert: {
          "calendly_created_at"?: string | null;
          "calendly_event_uri"?: string | null;
          "calendly_updated_at"?: string | null;
          "cancellation"?: Json | null;
          "created_at"?: string | null;
          "deleted_at"?: string | null;
          "deleted_reason"?: string | null;
          "end_time"?: string | null;
          "event_type_uri"?: string | null;
          "id"?: never;
          "is_deleted"?: boolean;
          "join_url"?: string | null;
          "location"?: string | null;
          "location_type"?: string | null;
          "name"?: string | null;
          "raw"?: Json | null;
          "rescheduled_from"?: string | null;
          "rescheduled_to"?: string | null;
          "start_time"?: string | null;
          "status"?: string | null;
          "synced_via_webhook"?: boolean;
          "updated_at"?: string | null;
          "user_id": number;
        };
        Update: {
          "calendly_created_at"?: string | null;
          "calendly_event_uri"?: string | null;
          "calendly_updated_at"?: string | null;
          "cancellation"?: Json | null;
          "created_at"?: string | null;
          "deleted_at"?: string | null;
          "deleted_reason"?: string | null;
          "end_time"?: string | null;
          "event_type_uri"?: string | null;
          "id"?: never;
          "is_deleted"?: boolean;
          "join_url"?: string | null;
          "location"?: string | null;
          "location_type"?: string | null;
          "name"?: string | null;
          "raw"?: Json | null;
          "rescheduled_from"?: string | null;
          "rescheduled_to"?: string | null;
          "start_time"?: string | null;
          "status"?: string | null;
          "synced_via_webhook"?: boolean;
          "updated_at"?: string | null;
          "user_id"?: number;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_meetings_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_meetings_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "calendly_sync_runs": {
        Row: {
          "connection_id": string;
          "created": number;
          "deleted": number;
          "error": Json | null;
          "fetched_active": number;
          "fetched_canceled": number;
          "finished_at": string | null;
          "heartbeat_at": string;
          "hosts_without_account": number | null;
          "id": string;
          "initial": boolean;
          "max_start_time": string;
          "min_start_time": string;
          "missing": number;
          "progress": NonNullable<Json>;
          "rejected": number;
          "rejections": NonNullable<Json>;
          "requests": number;
          "restored": number;
          "resume_at": string | null;
          "started_at": string;
          "status": string;
          "steps": NonNullable<Json>;
          "subject": string;
          "sync_type": string;
          "trigger": string;
          "unchanged": number;
          "updated": number;
          "user_id": number;
        };
        ComputedFields: never;
        Insert: {
          "connection_id": string;
          "created"?: number;
          "deleted"?: number;
          "error"?: Json | null;
          "fetched_active"?: number;
          "fetched_canceled"?: number;
          "finished_at"?: string | null;
          "heartbeat_at": string;
          "hosts_without_account"?: number | null;
          "id"?: string;
          "initial"?: boolean;
          "max_start_time": string;
          "min_start_time": string;
          "missing"?: number;
          "progress"?: NonNullable<Json>;
          "rejected"?: number;
          "rejections"?: NonNullable<Json>;
          "requests"?: number;
          "restored"?: number;
          "resume_at"?: string | null;
          "started_at": string;
          "status"?: string;
          "steps"?: NonNullable<Json>;
          "subject": string;
          "sync_type": string;
          "trigger": string;
          "unchanged"?: number;
          "updated"?: number;
          "user_id": number;
        };
        Update: {
          "connection_id"?: string;
          "created"?: number;
          "deleted"?: number;
          "error"?: Json | null;
          "fetched_active"?: number;
          "fetched_canceled"?: number;
          "finished_at"?: string | null;
          "heartbeat_at"?: string;
          "hosts_without_account"?: number | null;
          "id"?: string;
          "initial"?: boolean;
          "max_start_time"?: string;
          "min_start_time"?: string;
          "missing"?: number;
          "progress"?: NonNullable<Json>;
          "rejected"?: number;
          "rejections"?: NonNullable<Json>;
          "requests"?: number;
          "restored"?: number;
          "resume_at"?: string | null;
          "started_at"?: string;
          "status"?: string;
          "steps"?: NonNullable<Json>;
          "subject"?: string;
          "sync_type"?: string;
          "trigger"?: string;
          "unchanged"?: number;
          "updated"?: number;
          "user_id"?: number;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_sync_runs_connection_id_fkey";
            columns: ["connection_id"];
            isOneToOne: false;
            referencedRelation: "calendly_connections";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_sync_runs_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_sync_runs_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "calendly_users": {
        Row: {
          "auth_user_id": string | null;
          "calendly_initial_sync_complete": boolean;
          "calendly_organization_uri": string | null;
          "calendly_user_uri": string;
          "calendly_webhook_enabled": boolean;
          "connection_id": string | null;
          "created_at": string;
          "email": string | null;
          "id": number;
          "last_calendly_sync": string | null;
          "name": string | null;
        };
        ComputedFields: never;
        Insert: {
          "auth_user_id"?: string | null;
          "calendly_initial_sync_complete"?: boolean;
          "calendly_organization_uri"?: string | null;
          "calendly_user_uri": string;
          "calendly_webhook_enabled"?: boolean;
          "connection_id"?: string | null;
          "created_at"?: string;
          "email"?: string | null;
          "id"?: number;
          "last_calendly_sync"?: string | null;
          "name"?: string | null;
        };
        Update: {
          "auth_user_id"?: string | null;
          "calendly_initial_sync_complete"?: boolean;
          "calendly_organization_uri"?: string | null;
          "calendly_user_uri"?: string;
          "calendly_webhook_enabled"?: boolean;
          "connection_id"?: string | null;
          "created_at"?: string;
          "email"?: string | null;
          "id"?: number;
          "last_calendly_sync"?: string | null;
          "name"?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_users_connection_id_fkey";
            columns: ["connection_id"];
            isOneToOne: false;
            referencedRelation: "calendly_connections";
            referencedColumns: ["id"];
          },
        ];
      };
      "calendly_webhook_events": {
        Row: {
          "attempts": number;
          "created_at": string;
          "error": Json | null;
          "event_id": string;
          "event_type": string;
          "id": string;
          "payload": Json | null;
          "processed_at": string | null;
          "status": string;
          "user_id": number | null;
        };
        ComputedFields: never;
        Insert: {
          "attempts"?: number;
          "created_at": string;
          "error"?: Json | null;
          "event_id": string;
          "event_type": string;
          "id"?: string;
          "payload"?: Json | null;
          "processed_at"?: string | null;
          "status": string;
          "user_id"?: number | null;
        };
        Update: {
          "attempts"?: number;
          "created_at"?: string;
          "error"?: Json | null;
          "event_id"?: string;
          "event_type"?: string;
          "id"?: string;
          "payload"?: Json | null;
          "processed_at"?: string | null;
          "status"?: string;
          "user_id"?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_webhook_events_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_webhook_events_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
    };
    Views: {
      "calendly_alerts": {
        Row: {
          "code": string | null;
          "evidence": Json | null;
          "evidence_sql": string | null;
          "message": string | null;
          "severity": string | null;
          "since": string | null;
          "user_id": number | null;
          "what_to_do": string | null;
        };
        ComputedFields: never;
        Relationships: [];
      };
      "calendly_freshness": {
        Row: {
          "max": string | null;
          "never_synced": number | null;
          "p50": string | null;
          "p95": string | null;
          "users": number | null;
        };
        ComputedFields: never;
        Relationships: [];
      };
      "calendly_sync_health": {
        Row: {
          "active_calendly_meetings": number | null;
          "calendly_initial_sync_complete": boolean;
          "calendly_webhook_enabled": boolean;
          "connection_state": string | null;
          "deleted_calendly_meetings": number | null;
          "email": string | null;
          "last_calendly_sync": string | null;
          "last_error": Json | null;
          "last_meeting_sync": string | null;
          "next_sync_at": string | null;
          "staleness": string | null;
          "user_id": number;
          "webhook_events_received": number | null;
          "webhook_synced_meetings": number | null;
        };
        ComputedFields: never;
        Relationships: [];
      };
      "meetings": {
        Row: {
          "calendly_created_at": string | null;
          "calendly_event_uri": string | null;
          "calendly_updated_at": string | null;
          "cancellation": Json | null;
          "created_at": string | null;
          "deleted_at": string | null;
          "deleted_reason": string | null;
          "end_time": string | null;
          "event_type_uri": string | null;
          "id": number;
          "is_deleted": boolean;
          "join_url": string | null;
          "location": string | null;
          "location_type": string | null;
          "name": string | null;
          "raw": Json | null;
          "rescheduled_from": string | null;
          "rescheduled_to": string | null;
          "start_time": string | null;
          "status": string | null;
          "synced_via_webhook": boolean;
          "updated_at": string | null;
          "user_id": number;
        };
        ComputedFields: never;
        Insert: {
          "calendly_created_at"?: string | null;
          "calendly_event_uri"?: string | null;
          "calendly_updated_at"?: string | null;
          "cancellation"?: Json | null;
          "created_at"?: string | null;
          "deleted_at"?: string | null;
          "deleted_reason"?: string | null;
          "end_time"?: string | null;
          "event_type_uri"?: string | null;
          "id"?: number | null;
          "is_deleted"?: boolean | null;
          "join_url"?: string | null;
          "location"?: string | null;
          "location_type"?: string | null;
          "name"?: string | null;
          "raw"?: Json | null;
          "rescheduled_from"?: string | null;
          "rescheduled_to"?: string | null;
          "start_time"?: string | null;
          "status"?: string | null;
          "synced_via_webhook"?: boolean | null;
          "updated_at"?: string | null;
          "user_id"?: number | null;
        };
        Update: {
          "calendly_created_at"?: string | null;
          "calendly_event_uri"?: string | null;
          "calendly_updated_at"?: string | null;
          "cancellation"?: Json | null;
          "created_at"?: string | null;
          "deleted_at"?: string | null;
          "deleted_reason"?: string | null;
          "end_time"?: string | null;
          "event_type_uri"?: string | null;
          "id"?: number | null;
          "is_deleted"?: boolean | null;
          "join_url"?: string | null;
          "location"?: string | null;
          "location_type"?: string | null;
          "name"?: string | null;
          "raw"?: Json | null;
          "rescheduled_from"?: string | null;
          "rescheduled_to"?: string | null;
          "start_time"?: string | null;
          "status"?: string | null;
          "synced_via_webhook"?: boolean | null;
          "updated_at"?: string | null;
          "user_id"?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "calendly_meetings_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "calendly_users";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "calendly_meetings_user_id_fkey";
            columns: ["user_id"];
            isOneToOne: false;
            referencedRelation: "users";
            referencedColumns: ["id"];
          },
        ];
      };
      "users": {
        Row: {
          "auth_user_id": string | null;
          "calendly_initial_sync_complete": boolean;
          "calendly_webhook_enabled": boolean;
          "email": string | null;
          "id": number;
          "last_calendly_sync": string | null;
          "name": string | null;
        };
        ComputedFields: never;
        Insert: {
          "auth_user_id"?: string | null;
          "calendly_initial_sync_complete"?: boolean | null;
          "calendly_webhook_enabled"?: boolean | null;
          "email"?: string | null;
          "id"?: number | null;
          "last_calendly_sync"?: string | null;
          "name"?: string | null;
        };
        Update: {
          "auth_user_id"?: string | null;
          "calendly_initial_sync_complete"?: boolean | null;
          "calendly_webhook_enabled"?: boolean | null;
          "email"?: string | null;
          "id"?: number | null;
          "last_calendly_sync"?: string | null;
          "name"?: string | null;
        };
        Relationships: [];
      };
    };
    Functions: {
      "calendly_abandon_subscription": {
        Args: { "error": Json; "id": string };
        Returns: undefined;
      };
      "calendly_apply_step": {
        Args: { "lease": string; "result": Json; "run_id": string; "step": number };
        Returns: Json;
      };
      "calendly_begin_refresh": {
        Args: { "connection_id": string; "version": number };
        Returns: Json;
      };
      "calendly_begin_subscription": { Args: { "request": Json }; Returns: Json };
      "calendly_begin_sync": { Args: { "request": Json }; Returns: Json };
      "calendly_claim_revocation": { Args: { "project_url": string }; Returns: Json };
      "calendly_claim_sync": { Args: { "request": Json }; Returns: Json };
      "calendly_clear_own_table_failure": { Args: { "source": string }; Returns: boolean };
      "calendly_configure": { Args: { "changes"?: Json }; Returns: Json };
      "calendly_confirm_project": { Args: { "url": string }; Returns: string };
      "calendly_connect": { Args: { "connection": Json }; Returns: Json };
      "calendly_connection_status": { Args: { "request": Json }; Returns: Json };
      "calendly_console_overview": { Args: Record<PropertyKey, never>; Returns: Json };
      "calendly_console_people": {
        Args: {
          "at_most"?: number;
          "person"?: number;
          "search"?: string;
          "states"?: (string)[];
          "team"?: number;
          "with_account"?: boolean;
        };
        Returns: {
          "connection": Json;
          "email": string;
          "has_account": boolean;
          "initial_sync_complete": boolean;
          "name": string;
          "staleness_seconds": number;
          "state": string;
          "token_expires_at": string;
          "token_kind": string;
          "total": number;
          "user_id": number;
          "webhook_delivers": boolean;
        }[];
      };
      "calendly_deliveries_by_day": {
        Args: { "since"?: string };
        Returns: {
          "count": number;
          "day": string;
          "event_type": string;
          "is_complete": boolean;
          "status": string;
        }[];
      };
      "calendly_delivery_details": { Args: { "id": string }; Returns: Json };
      "calendly_disable_webhooks": { Args: { "request": Json }; Returns: Json };
      "calendly_disconnect": { Args: { "request": Json }; Returns: Json };
      "calendly_erase_invitee": { Args: { "email": string }; Returns: Json };
      "calendly_fail_refresh": {
        Args: { "connection_id": string; "error": Json; "version": number };
        Returns: undefined;
      };
      "calendly_fail_review": {
        Args: { "connection_id": string; "error": Json };
        Returns: undefined;
      };
      "calendly_fail_sync": {
        Args: { "error": Json; "lease": string; "requests"?: number; "run_id": string };
        Returns: Json;
      };
      "calendly_finish_refresh": {
        Args: {
          "connection_id": string;
          "expires_in": number;
          "token_jwe": string;
          "version": number;
        };
        Returns: Json;
      };
      "calendly_finish_revocation": { Args: { "id": string }; Returns: undefined };
      "calendly_finish_sync": { Args: { "lease": string; "run_id": string }; Returns: Json };
      "calendly_freshness_history": {
        Args: { "since"?: string; "step"?: string };
        Returns: {
          "at": string;
          "max_seconds": number;
          "p50_seconds": number;
          "p95_seconds": number;
          "users": number;
        }[];
      };
      "calendly_health": { Args: Record<PropertyKey, never>; Returns: Json };
      "calendly_keep_subscription": {
        Args: { "id": string; "key_id": string; "uri": string };
        Returns: Json;
      };
      "calendly_list_credentials": { Args: { "after"?: string }; Returns: Json };
      "calendly_metrics": { Args: Record<PropertyKey, never>; Returns: Json };
      "calendly_prepare_connection": { Args: { "calendly_user_uri": string }; Returns: Json };
      "calendly_receive_webhook": { Args: { "delivery": Json }; Returns: Json };
      "calendly_record_own_table_failure": {
        Args: { "error": string; "source": string; "sqlstate": string };
        Returns: undefined;
      };
      "calendly_reencrypt": {
        Args: { "connection_id": string; "token_jwe": string; "version": number };
        Returns: boolean;
      };
      "calendly_replay_dead": { Args: { "since"?: string }; Returns: number };
      "calendly_replay_webhook_event": { Args: { "id": string }; Returns: Json };
      "calendly_review_subscriptions": {
        Args: { "connection_id": string; "key_id": string; "listed": Json };
        Returns: Json;
      };
      "calendly_run_details": { Args: { "run_id": string }; Returns: Json };
      "calendly_schedule": { Args: Record<PropertyKey, never>; Returns: Json };
      "calendly_schedule_ticks": {
        Args: { "since"?: string };
        Returns: {
          "answered": boolean;
          "at": string;
          "due": number;
          "error": string;
          "nudges": number;
          "running_workers": number;
          "runs_started": number;
        }[];
      };
      "calendly_start_oauth": { Args: { "request": Json }; Returns: undefined };
      "calendly_subscription_query": {
        Args: { "connection_id": string; "organization": string };
        Returns: Json;
      };
      "calendly_take_oauth_state": {
        Args: { "auth_user_id": string; "state_digest": string };
        Returns: Json;
      };
      "clean_old_webhook_events": { Args: Record<PropertyKey, never>; Returns: number };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    | keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof (
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
      & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
    )
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals } ? (
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    & DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"]
  )[TableName] extends {
    Row: infer R;
  } ? R
  : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
      Row: infer R;
    } ? R
    : never
  : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends
    {
      Insert: infer I;
    } ? I
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Insert: infer I;
    } ? I
    : never
  : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends
    | keyof DefaultSchema["Tables"]
    | { schema: keyof DatabaseWithoutInternals },
  TableName extends DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends
    {
      Update: infer U;
    } ? U
  : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
      Update: infer U;
    } ? U
    : never
  : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends
    | keyof DefaultSchema["Enums"]
    | { schema: keyof DatabaseWithoutInternals },
  EnumName extends DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
  : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    | keyof DefaultSchema["CompositeTypes"]
    | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  } ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][
    CompositeTypeName
  ]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
  : never;

export const Constants = {
  "public": {
    Enums: {},
  },
} as const;
